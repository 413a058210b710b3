// SPDX-License-Identifier: Apache-2.0

/** A bundle that an earlier run left: is it good enough where nothing can be built? */

import { lstatSync } from 'node:fs';
import { inspectExecutable, inspectStatic } from '../elf/verify.ts';
import { MissingTool } from '../errors.ts';
import { isFile } from '../fs/atomic-write.ts';
import { readContent, ZstdError } from '../zstd/decompress.ts';
import type { BundleConfig } from './config.ts';
import type { ExistingBundle } from './plan.ts';

/**
 * Decompresses the existing bundle, and verifies that its content is what a build would give.
 * @param reason why nothing can be built
 * @throws MissingTool where it does not exist or is something else
 */
export function requireExisting({ artifact, path }: BundleConfig, reason: MissingTool): ExistingBundle {
  const refusal = (problem: string) =>
    new MissingTool(`${reason.message}; an earlier bundle would do, but ${path} ${problem}`);
  if (!isFile(path)) throw refusal('does not exist');
  const { size: compressedSize, mtime: date } = lstatSync(path);
  let content: Buffer;
  try {
    content = readContent(path);
  } catch (error) {
    throw error instanceof ZstdError ? refusal(`cannot be used (${error.message})`) : error;
  }
  const inspect = artifact.check === 'static' ? inspectStatic : inspectExecutable;
  const verdict = inspect({ name: 'its content', content }, { machine: artifact.arch });
  if (!verdict.ok) throw refusal(`cannot be used (${verdict.reasons.join('; ')})`);
  const { size, machine, kind } = verdict.facts;
  const verified = `${machine}, complete, ${kind}`;
  return { bundle: { path, change: 'unchanged', size, compressedSize, verified }, date, reason };
}
