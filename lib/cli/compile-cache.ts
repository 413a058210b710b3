// SPDX-License-Identifier: Apache-2.0

/**
 * Node's cache of compiled code. Node writes it when the task ends, and before it is replaced: under sudo as root,
 * wherever links of the user lead.
 */

import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { becomeOwner, isOfOther } from '../fs/ownership.ts';

/**
 * Caches in a directory, where that is not another user's and `NODE_COMPILE_CACHE` has named none; one of another user
 * is written as that user, and not by what the task starts.
 */
export function useCompileCache(directory: string): void {
  if (!isOfOther(directory)) enableCompileCache(directory);
  if (!isCacheOfOther()) return;
  delete process.env.NODE_COMPILE_CACHE;
  process.once('exit', () => becomeOwner(getCompileCacheDir() ?? ''));
}

/** Whether the cache is another user's: then a root that is replaced would write there. */
export function isCacheOfOther(): boolean {
  const directory = getCompileCacheDir();
  return directory !== undefined && isOfOther(directory);
}
