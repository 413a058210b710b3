// SPDX-License-Identifier: Apache-2.0

/**
 * The compressed files that the VM driver embeds, by their exact names. Its build script takes an empty stub for each
 * that is missing, and only the start of a VM fails.
 */

import { join } from 'node:path';
import { usageError } from '../errors.ts';
import { zstdDefect } from '../zstd/decompress.ts';

/** The guest's supervisor, which the bundle task builds; everything else comes from `vm:setup`. */
export const BUNDLE_FILE = 'openshell-sandbox.zst';

const RUNTIME_FILES: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  linux: ['libkrun.so.zst', 'libkrunfw.so.5.zst', 'gvproxy.zst', 'umoci.zst'],
  darwin: ['libkrun.dylib.zst', 'libkrunfw.5.dylib.zst', 'gvproxy.zst', 'umoci.zst'],
};

/**
 * The names of the runtime's files for a host, without the supervisor.
 * @throws usageError for a platform that has no VM driver
 */
export function runtimeFiles(platform: NodeJS.Platform): readonly string[] {
  const files = RUNTIME_FILES[platform];
  if (files !== undefined) return files;
  throw usageError(`the VM driver does not run on ${platform}; use Linux or macOS, or another driver`);
}

/**
 * The files of the runtime that the driver could not use: absent, empty, cut off, damaged, or not zstd.
 * @throws usageError for a platform that has no VM driver
 */
export function missingRuntime(directory: string, platform: NodeJS.Platform): string[] {
  return runtimeFiles(platform).filter((name) => zstdDefect(join(directory, name)) !== undefined);
}
