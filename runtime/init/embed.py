# SPDX-License-Identifier: Apache-2.0
"""Writes a file's bytes as a C array: hutch-init travels inside the library, so that no installed path, no environment
variable and no writable file decides what becomes PID 1 of a sandbox."""
import sys

source, target = sys.argv[1:]
data = open(source, "rb").read()
with open(target, "w", encoding="ascii") as out:
    out.write('/* Generated. */\n#include "engine/image.h"\n')
    out.write("const unsigned char init_image[] = {\n")
    for at in range(0, len(data), 24):
        out.write("\t" + ",".join(str(byte) for byte in data[at : at + 24]) + ",\n")
    out.write("};\nconst size_t init_image_size = sizeof init_image;\n")
