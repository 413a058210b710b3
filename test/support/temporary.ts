// SPDX-License-Identifier: Apache-2.0

/** Temporary folders of tests: real paths, removed when the test ends. */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new empty folder that lives as long as the running test. */
export function temporaryFolder(label = 'openshell-tasks'): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), `${label}-`));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
