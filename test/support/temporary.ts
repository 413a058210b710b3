// SPDX-License-Identifier: Apache-2.0

/** Temporary directories of tests: real paths, removed when the test ends. */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new empty directory that lives as long as the running test. */
export function temporaryDirectory(label = 'openshell-tasks'): string {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), `${label}-`));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
