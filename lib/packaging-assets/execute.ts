// SPDX-License-Identifier: Apache-2.0

/** Checking the gateway's units in the checkout: that of the Debian package, and that in the spec for RPM. */

import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { printVerdicts, type VerdictOf } from '../cli/problems.ts';
import type { TaskContext } from '../cli/task.ts';
import { describeError, machineErrorText, shown, TaskError } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { COMPONENTS, PRODUCT } from '../product.ts';

const VARIABLE = 'OPENSHELL_LOCAL_TLS_DIR';
const ENVIRONMENT = `Environment=${VARIABLE}=%h/.local/state/openshell/tls`;
const CERTIFICATES =
  `ExecStartPre=/usr/bin/${COMPONENTS.gateway.binary} generate-certs --output-dir \${${VARIABLE}} ` +
  '--server-san host.openshell.internal';
/** `%S` is not the same directory with every version of systemd. */
const STALE = '%S/openshell/tls';
/** In the spec; the shell would expand the unit's variables if the delimiter were not quoted. */
const UNIT_IN_SPEC = /^(?!\s*#)(?=.*-gateway\.service\b).*<<-?\s*(['"])(\w+)\1.*\n([\s\S]*?)^\s*\2\s*$/m;

/** @throws failure where a file is not there, or its unit is not as it has to be; usageError without a checkout */
export function testPackagingAssets(ctx: TaskContext, isDryRun: boolean): void {
  const root = findCheckout(ctx.env, ctx.startDirectory);
  const paths = [PRODUCT.debianUnit, PRODUCT.rpmSpec].map((path) => join(root, path));
  printVerdicts(ctx, paths, isDryRun, inspectAsset, () => 'certificates and their directory are as they have to be');
}

function inspectAsset(path: string): VerdictOf<undefined> {
  try {
    const text = contentOf(path).toString();
    const reasons = path.endsWith(PRODUCT.rpmSpec) ? specReasons(text) : unitReasons(text, '%');
    if (reasons.length === 0) return { ok: true, facts: undefined };
    return { ok: false, reasons: reasons.map((reason) => `${path}: ${reason}`) };
  } catch (error) {
    if (!(error instanceof TaskError) && machineErrorText(error) === undefined) throw error;
    return { ok: false, reasons: [describeError(error)] };
  }
}

/** The reasons against the unit that a spec writes. */
export function specReasons(spec: string): string[] {
  const unit = UNIT_IN_SPEC.exec(spec)?.[3];
  if (unit !== undefined) return unitReasons(unit, '%%');
  return ['writes no unit of the gateway from a here-document with a quoted delimiter; add one'];
}

/** The reasons against a unit. @param percent how its file writes a `%`: a spec doubles it */
export function unitReasons(unit: string, percent: '%' | '%%'): string[] {
  const settings = settingsOf(unit);
  const lines = settings.map(([key, value]) => `${key}=${value}`);
  const environment = ENVIRONMENT.replace('%', percent);
  // The last one counts.
  const found = lines.findLast((line) => line.startsWith('Environment=') && line.includes(`${VARIABLE}=`));
  const reasons =
    found === environment ? [] : [`has ${found ? shown(found) : `no ${VARIABLE}`}, wanted ${environment}`];
  const unset = settings.some(([key, value]) => key === 'UnsetEnvironment' && value.split(/[\s=]/).includes(VARIABLE));
  if (unset) reasons.push(`unsets ${VARIABLE}; leave that out`);
  if (!lines.includes(CERTIFICATES)) reasons.push(`creates no certificates, wanted ${CERTIFICATES}`);
  const stale = lines.filter((line) => line.includes(STALE));
  reasons.push(...stale.map((line) => `has ${STALE} in ${shown(line)}; use %h/.local/state instead of %S`));
  return reasons.map((reason) => `[Service] ${reason}`);
}

/** What the sections `[Service]` set, as systemd reads it (systemd.syntax(7)): an empty value takes all before it back. */
function settingsOf(unit: string): (readonly [key: string, value: string])[] {
  let settings: (readonly [string, string])[] = [];
  let section = '';
  for (const line of unit.replaceAll(/\\\n\s*/g, '').split('\n')) {
    section = /^\s*\[(.*)\]\s*$/.exec(line)?.[1] ?? section;
    const [, key, value = ''] = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (section !== 'Service' || key === undefined) continue;
    settings = value === '' ? settings.filter(([other]) => other !== key) : [...settings, [key, value]];
  }
  return settings;
}
