// SPDX-License-Identifier: Apache-2.0

/** A bundle that an earlier run left: is it good enough where nothing can be built? */

import { lstatSync } from 'node:fs';
import type { MissingTool } from '../cargo/toolchain.ts';
import { inspectExecutable, inspectStatic } from '../elf/verify.ts';
import { usageError } from '../errors.ts';
import { isFile } from '../fs/atomic-write.ts';
import type { Artifact } from '../stage/plan.ts';
import { readContent, ZstdError } from '../zstd/decompress.ts';
import type { BundleConfig } from './config.ts';
import { type ExistingBundle, supervisorOf } from './plan.ts';

/**
 * Decompresses the bundle at `path` and verifies its content as `artifact`.
 * @returns the bundle, or why it cannot be used, in a few words
 */
function inspectExisting(path: string, artifact: Artifact): ExistingBundle | string {
  if (!isFile(path)) return 'does not exist';
  const { size: compressedSize, mtime: date } = lstatSync(path);
  try {
    const content = readContent(path);
    const inspect = artifact.check === 'static' ? inspectStatic : inspectExecutable;
    const verdict = inspect({ name: 'its content', content }, { machine: artifact.arch });
    if (!verdict.ok) return `cannot be used (${verdict.reasons.join('; ')})`;
    const { machine, kind } = verdict.facts;
    return { size: content.length, compressedSize, verified: `${machine}, complete, ${kind}`, date };
  } catch (error) {
    if (error instanceof ZstdError) return `cannot be used (${error.message})`;
    throw error;
  }
}

/**
 * The existing bundle, where it is what a build would give.
 * @param reason why nothing can be built
 * @throws usageError where it does not exist or is something else
 */
export function requireExisting(config: BundleConfig, reason: MissingTool): ExistingBundle {
  const existing = inspectExisting(config.path, supervisorOf(config));
  if (typeof existing !== 'string') return existing;
  throw usageError(`${reason.message}; an earlier bundle would do, but ${config.path} ${existing}`);
}
