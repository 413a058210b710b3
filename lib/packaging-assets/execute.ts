// SPDX-License-Identifier: Apache-2.0

/** Checking the gateway's units in the checkout: that of the Debian package, and that in the spec of the RPM packages. */

import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { printVerdicts, type VerdictOf } from '../cli/print-verdicts.ts';
import type { TaskContext } from '../cli/task.ts';
import { machineErrorText, TaskError } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { PRODUCT } from '../product.ts';
import { unitReasons } from './plan.ts';
import { unitInSpec } from './unit-file.ts';

/** @throws failure where a file is not there, or its unit is not as it has to be; usageError without a checkout */
export function testPackagingAssets(
  ctx: Pick<TaskContext, 'env' | 'startDirectory' | 'terminal'>,
  isDryRun = false,
): void {
  const root = findCheckout(ctx.env, ctx.startDirectory);
  const paths = [PRODUCT.debianUnit, PRODUCT.rpmSpec].map((path) => join(root, path));
  printVerdicts(ctx, paths, isDryRun, inspectAsset, () => 'certificates and their directory are as they have to be');
}

function inspectAsset(path: string): VerdictOf<undefined> {
  try {
    const text = contentOf(path).toString();
    const reasons = path.endsWith(PRODUCT.rpmSpec) ? unitReasons(unitInSpec(text), '%%') : unitReasons(text, '%');
    if (reasons.length === 0) return { ok: true, facts: undefined };
    return { ok: false, reasons: reasons.map((reason) => `${path}: ${reason}`) };
  } catch (error) {
    const lead = error instanceof TaskError && error.message.startsWith(path) ? '' : `${path}: `;
    const reason = error instanceof TaskError ? `${lead}${error.message}` : machineErrorText(error);
    if (reason === undefined) throw error;
    return { ok: false, reasons: [reason] };
  }
}
