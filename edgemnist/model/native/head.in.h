/* SPDX-License-Identifier: Apache-2.0
 *
 * {network} in int8
 * and the engine that executes it, in one C99 file without dependencies.{bits}
 * Made by edgemnist {origin.version} from the {origin.source} with the SHA-256
 *   {origin.model_sha256}
 * It answers every bit of the TFLite file with the SHA-256
 *   {origin.tflite_sha256}
 * in {kernels}.
 * Rounding: {rounding}
 * Read-only data: {data:,} bytes. Static memory: up to {memory:,} bytes.
 * On a {processors}, with code and names, as GCC compiles it:
{needs}
{task} *
 * Compile it with your program and include the declarations, which also are in a header of their own. {recommended} is
 * as fast as -O3, or faster. With -DEDGEMNIST_MAIN it {program}
 */
