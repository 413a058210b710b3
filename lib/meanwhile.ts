// SPDX-License-Identifier: Apache-2.0

/** Loading what is needed later while programs that were asked something think about it. */

/**
 * Loads modules once the questions that are being asked are out: an `import()` reads and compiles
 * before it gives way, and in that time the programs could be at work.
 *
 * @param load calls `import()` with the paths spelt out, which is what the runner check reads
 */
export async function meanwhile<T>(load: () => Promise<T>): Promise<T> {
  await new Promise((resolve) => setImmediate(resolve));
  return load();
}
