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

# seednorm_check_listed(PATTERN LIST NAME...): stops if a file that matches the pattern is not one of the names, which come
# from the file LIST. Without this, a file whose line was forgotten would silently not exist for the program.
function(seednorm_check_listed pattern list)
  file(GLOB files CONFIGURE_DEPENDS "${pattern}")
  foreach(file IN LISTS files)
    cmake_path(GET file STEM LAST_ONLY name)
    if(NOT name IN_LIST ARGN)
      message(FATAL_ERROR "${file}: has no line in ${list}")
    endif()
  endforeach()
endfunction()
