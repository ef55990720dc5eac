# Compile options of what is fuzzed: libFuzzer's coverage and the sanitizers. Not for the core, which reads no files and
# takes a quarter of an hour to compile with them.
add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=null,alignment,object-size,vptr
                    -fno-sanitize-recover=all)
