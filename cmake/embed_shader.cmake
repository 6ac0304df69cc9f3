# Writes the words of the SPIR-V file INPUT as C integers, comma-separated, to OUTPUT. SPIR-V on disk is little-endian here.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
string(REGEX REPLACE "(0x........,0x........,0x........,0x........,0x........,0x........,0x........,0x........,)" "\\1\n" words "${words}")
file(WRITE ${OUTPUT} "${words}\n")
