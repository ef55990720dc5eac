# Joins the page into one file: index.html, with style.css and the modules instead of {{style}} and {{script}}.

# join_page(FOLDER MODULES VARIABLE): sets VARIABLE. MODULES are the names of .js files, each after those that it uses
# while it is loaded. Their imports and the word export are removed: joined, all modules share one scope, so that a name
# may stand at the top of one module only (report_page_test.py checks that).
function(join_page folder modules variable)
  set(script "")
  foreach(module ${modules})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/${module}.js")
    file(READ "${folder}/${module}.js" text)
    string(REGEX REPLACE "(^|\n)import [^;]*;" "\\1" text "${text}")
    string(REGEX REPLACE "(^|\n)export " "\\1" text "${text}")
    string(APPEND script "\n// --- ${module}.js\n${text}")
  endforeach()
  foreach(file index.html style.css)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/${file}")
  endforeach()
  file(READ "${folder}/index.html" page)
  file(READ "${folder}/style.css" style)
  string(REPLACE "{{style}}" "${style}" page "${page}")
  string(REPLACE "{{script}}" "${script}" page "${page}")
  set(${variable} "${page}" PARENT_SCOPE)
endfunction()
