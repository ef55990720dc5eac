# seednorm_def_list(OUT FILE MACRO): the names in the lines `MACRO(name)` of a .def file, in their order.
# A change of the file causes a new configuration.
function(seednorm_def_list out file macro)
  cmake_path(ABSOLUTE_PATH file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(STRINGS "${file}" names REGEX "^${macro}\\([a-z0-9_]+\\)")
  list(TRANSFORM names REPLACE "^${macro}\\(([a-z0-9_]+)\\).*" "\\1")
  if(NOT names)
    message(FATAL_ERROR "${file}: no line ${macro}(name)")
  endif()
  set(${out} "${names}" PARENT_SCOPE)
endfunction()
