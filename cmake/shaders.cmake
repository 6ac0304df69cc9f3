# From shaders/*.comp to one C file per table of embedded SPIR-V.
#
# A .comp file without variant lines becomes the shader of its base name. Lines of the form
#   //@ variant <suffix> -DNAME=VALUE ...
# make it shaders <base>_<suffix> instead, each compiled with those macros. Lines of the form
#   //@ variant-with NAME <suffix> -DNAME=VALUE ...
# do so where TLVK_WITH_NAME is true: what not every glslang can compile. Lines of the form
#   //@ variant-and-pairs <suffix> -DNAME=VALUE ...
# make a second shader <base>_<suffix>_pairs with -DPAIRS too, which stands for the first where caps.pair_stores says so (engine/vk/pipeline.c). Any of these
# words with `-and-half` behind it makes forms with -DHALF of all its shaders too, <base>_<suffix>_half and <base>_<suffix>_half_pairs, which
# stand where what is stored lies in fp16 (engine/vk/recorder.c).
# Names (OpName), unused specialization constants and unused bindings are kept: pipelines are specialized by name and checked by reflection.

set(TLVK_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_shader.cmake)

# Sets TLVK_WITH_<name> to whether the three programs take the shader probe_<name>.comp of this folder. Asked again where one of them is another.
function(tlvk_probe_shader name)
  set(programs "${TLVK_GLSLANG};${TLVK_SPIRV_OPT};${TLVK_SPIRV_VAL}")
  if(NOT "${TLVK_PROBED_${name}}" STREQUAL "${programs}")
    string(TOLOWER ${name} file)
    set(raw ${PROJECT_BINARY_DIR}/probe_${file}.raw.spv)
    set(optimized ${PROJECT_BINARY_DIR}/probe_${file}.spv)
    execute_process(COMMAND ${TLVK_GLSLANG} --quiet --target-env vulkan1.1 -o ${raw} ${PROJECT_SOURCE_DIR}/cmake/probe_${file}.comp
      RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(result EQUAL 0)
      execute_process(COMMAND ${TLVK_SPIRV_OPT} --target-env=vulkan1.1 -O ${raw} -o ${optimized} RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    endif()
    if(result EQUAL 0)
      execute_process(COMMAND ${TLVK_SPIRV_VAL} --target-env vulkan1.1 ${optimized} RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    endif()
    set(found OFF)
    if(result EQUAL 0)
      set(found ON)
    endif()
    message(STATUS "Shaders with ${name}: ${found}")
    set(TLVK_PROBED_${name} "${programs}" CACHE INTERNAL "")
    set(TLVK_WITH_${name} ${found} CACHE INTERNAL "")
  endif()
endfunction()

# Adds the rules for one shader; appends its name and the file of its words to the caller's lists.
function(tlvk_compile_shader folder name source)
  set(raw ${folder}/${name}.raw.spv)
  set(optimized ${folder}/${name}.spv)
  set(words ${folder}/${name}.inc)
  # glslang's depfile writes the output's name as given, and Ninja compares it with the path relative to the build folder.
  add_custom_command(OUTPUT ${raw}
    COMMAND ${TLVK_GLSLANG} --quiet --target-env vulkan1.1 -I${PROJECT_SOURCE_DIR}/shaders ${ARGN} --depfile ${raw}.d -o ${raw} ${source}
    DEPENDS ${source}
    DEPFILE ${raw}.d
    COMMENT "Shader ${name}"
    VERBATIM)
  add_custom_command(OUTPUT ${words}
    COMMAND ${TLVK_SPIRV_OPT} --target-env=vulkan1.1 --preserve-bindings --preserve-spec-constants -O ${raw} -o ${optimized}
    COMMAND ${TLVK_SPIRV_VAL} --target-env vulkan1.1 ${optimized}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${optimized} -DOUTPUT=${words} -P ${TLVK_EMBED_SCRIPT}
    DEPENDS ${raw} ${TLVK_EMBED_SCRIPT}
    COMMENT "Optimizing shader ${name}"
    VERBATIM)
  set(names ${names} ${name} PARENT_SCOPE)
  set(outputs ${outputs} ${words} PARENT_SCOPE)
endfunction()

# tlvk_embed_shaders(target source...) makes the OBJECT library `target`, which defines tlvk__shaders[] of engine/vk/vk.h.
# tlvk_embed_shaders(target ONLY regex FLAGS flag... IN_PLACE_OF other SOURCES source...) compiles, with these flags of glslang's too, the variants alone whose
# macros match; they stand in the table in place of those of the same names of the library `other`, beside the others of it.
function(tlvk_embed_shaders target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ONLY;IN_PLACE_OF" "FLAGS;SOURCES")
  set(folder ${PROJECT_BINARY_DIR}/shaders/${target})
  file(MAKE_DIRECTORY ${folder})
  set(names)
  set(outputs)
  foreach(source IN LISTS arg_UNPARSED_ARGUMENTS arg_SOURCES)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    get_filename_component(base ${source} NAME_WE)
    file(STRINGS ${source} variants REGEX "^//@ variant ")
    file(STRINGS ${source} words REGEX "^//@ variant(-with|-and-pairs|-and-half)")
    foreach(variant IN LISTS words)
      string(REGEX MATCH "^//@ variant(-with)?(-and-pairs)?(-and-half)? +(.*)$" matched "${variant}")
      set(pairs ${CMAKE_MATCH_2})
      set(half ${CMAKE_MATCH_3})
      set(rest ${CMAKE_MATCH_4})
      if(CMAKE_MATCH_1)
        string(REGEX MATCH "^([A-Z_]+) +(.*)$" matched "${rest}")
        if(NOT TLVK_WITH_${CMAKE_MATCH_1})
          continue()
        endif()
        set(rest ${CMAKE_MATCH_2})
      endif()
      list(APPEND variants "//@ variant ${rest}")
      if(pairs)
        string(REGEX REPLACE "^([a-z0-9_]+)" "\\1_pairs -DPAIRS" form "${rest}")
        list(APPEND variants "//@ variant ${form}")
      endif()
      if(half)
        string(REGEX REPLACE "^([a-z0-9_]+)" "\\1_half -DHALF" form "${rest}")
        list(APPEND variants "//@ variant ${form}")
      endif()
      if(half AND pairs)
        string(REGEX REPLACE "^([a-z0-9_]+)" "\\1_half_pairs -DHALF -DPAIRS" form "${rest}")
        list(APPEND variants "//@ variant ${form}")
      endif()
    endforeach()
    if(DEFINED arg_ONLY)
      list(FILTER variants INCLUDE REGEX "${arg_ONLY}")
    elseif(NOT variants)
      tlvk_compile_shader(${folder} ${base} ${source})
    endif()
    foreach(variant IN LISTS variants)
      string(REGEX REPLACE "^//@ variant +" "" variant "${variant}")
      separate_arguments(words UNIX_COMMAND "${variant}")
      list(POP_FRONT words suffix)
      if(suffix STREQUAL "-") # the shader under its own name, beside its variants
        tlvk_compile_shader(${folder} ${base} ${source} ${words} ${arg_FLAGS})
      else()
        tlvk_compile_shader(${folder} ${base}_${suffix} ${source} ${words} ${arg_FLAGS})
      endif()
    endforeach()
  endforeach()

  set(files ${names})
  list(TRANSFORM files APPEND ".inc")
  if(DEFINED arg_IN_PLACE_OF)
    get_property(others GLOBAL PROPERTY ${arg_IN_PLACE_OF}_shaders)
    list(REMOVE_ITEM others ${names})
    list(APPEND names ${others})
    list(TRANSFORM others PREPEND "${PROJECT_BINARY_DIR}/shaders/${arg_IN_PLACE_OF}/")
    list(TRANSFORM others APPEND ".inc")
    list(APPEND files ${others})
  endif()
  set_property(GLOBAL PROPERTY ${target}_shaders "${names}")
  set(code "/* Made by cmake/shaders.cmake: the embedded shaders. */\n#include \"vk/vk.h\"\n\n")
  set(table "")
  foreach(name file IN ZIP_LISTS names files)
    string(APPEND code "static const uint32_t ${name}_words[] = {\n#include \"${file}\"\n};\n")
    string(APPEND table "    {\"${name}\", ${name}_words, sizeof ${name}_words / sizeof ${name}_words[0]},\n")
  endforeach()
  string(APPEND code "\nconst tlvk__shader_source tlvk__shaders[] = {\n${table}    {NULL, NULL, 0}};\n")
  file(CONFIGURE OUTPUT ${folder}/table.c CONTENT "${code}" @ONLY)

  add_library(${target} OBJECT ${folder}/table.c ${outputs})
  set_source_files_properties(${folder}/table.c PROPERTIES OBJECT_DEPENDS "${outputs}")
  target_include_directories(${target} PRIVATE ${folder} ${PROJECT_SOURCE_DIR}/engine ${PROJECT_SOURCE_DIR}/engine/include)
  target_link_libraries(${target} PRIVATE tlvk_build_flags)
  if(DEFINED arg_IN_PLACE_OF)
    add_dependencies(${target} ${arg_IN_PLACE_OF})
  endif()
endfunction()
