// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';
import SkipReporter from './test/support/skip-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    // Hooks make and remove whole build trees, and the machine may be busy.
    hookTimeout: 60_000,
    // The second one closes the run: what was skipped for want of which tool, and the counts alone on the last line.
    reporters: ['default', new SkipReporter()],
  },
});
