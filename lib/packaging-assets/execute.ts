// SPDX-License-Identifier: Apache-2.0

/** Checking the gateway's units in the checkout: that of the Debian package, and that in the spec for RPM. */

import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { printVerdicts } from '../cli/problems.ts';
import type { TaskContext } from '../cli/task.ts';
import { shown } from '../errors.ts';
import { textIn } from '../fs/paths.ts';
import { COMPONENTS, PRODUCT } from '../product.ts';

const ENVIRONMENT = 'Environment=OPENSHELL_LOCAL_TLS_DIR=%h/.local/state/openshell/tls';
const CERTIFICATES =
  `ExecStartPre=/usr/bin/${COMPONENTS.gateway.binary} generate-certs ` +
  `--output-dir \${OPENSHELL_LOCAL_TLS_DIR} --server-san host.openshell.internal`;
/** `%S` is not the same directory with every version of systemd. */
const STALE = '%S/openshell/tls';

/** @throws failure where a file is not there, or its unit is not as it has to be; usageError without a checkout */
export function testPackagingAssets(ctx: TaskContext, isDryRun: boolean): void {
  const root = findCheckout(ctx.env, ctx.startDirectory);
  const paths = [PRODUCT.debianUnit, PRODUCT.rpmSpec].map((path) => join(root, path));
  const inspect = (path: string) => {
    const reasons = unitReasons(textIn(path), path.endsWith(PRODUCT.rpmSpec) ? '%%' : '%');
    if (reasons.length === 0) return { ok: true, facts: undefined } as const;
    return { ok: false, reasons: reasons.map((reason) => `${path} ${reason}`) } as const;
  };
  printVerdicts(ctx, paths, isDryRun, inspect, () => 'certificates and their directory are as they have to be');
}

/** The reasons against a file with a unit in it. @param percent how it writes a `%`: a spec doubles it */
export function unitReasons(text: string | undefined, percent: '%' | '%%'): string[] {
  if (text === undefined) return ['cannot be read; get it back from the repository'];
  let section = '';
  const lines = text.split('\n').flatMap((raw) => {
    const line = raw.trim();
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    return section === 'Service' && !line.startsWith('#') ? [line] : [];
  });
  const missing = [ENVIRONMENT.replace('%', percent), CERTIFICATES].filter((line) => !lines.includes(line));
  const stale = lines.filter((line) => line.includes(STALE));
  return [
    ...missing.map((line) => `lacks this line in its section [Service]: ${line}`),
    ...stale.map((line) => `has ${STALE} in ${shown(line)}; use %h/.local/state instead of %S`),
  ];
}
