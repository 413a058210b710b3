// SPDX-License-Identifier: Apache-2.0

/** What the gateway's units in the packages have to say, pure. */

import { shown } from '../errors.ts';
import { COMPONENTS } from '../product.ts';
import { splitArguments } from '../sandbox/split-arguments.ts';
import { entriesOf, valuesOf } from './unit-file.ts';

const VARIABLE = 'OPENSHELL_LOCAL_TLS_DIR';
/** `%S` is not the same directory with every version of systemd. */
const STALE = '%S/openshell/tls';
const ENVIRONMENT = `${VARIABLE}=%h/.local/state/openshell/tls`;
const CERTIFICATES = [
  ...[`/usr/bin/${COMPONENTS.gateway.binary}`, 'generate-certs', '--output-dir', `\${${VARIABLE}}`],
  ...['--server-san', 'host.openshell.internal'],
];

/**
 * The reasons against a unit.
 * @param percent how the file that it is in writes a `%`: a spec doubles it
 * @throws usageError for a quote that is not closed
 */
export function unitReasons(unit: string, percent: '%' | '%%'): string[] {
  const entries = entriesOf(unit, 'Service');
  const words = (key: string) => valuesOf(entries, key).map((value) => splitArguments(key, value));
  const environment = ENVIRONMENT.replace('%', percent);
  const variables = words('Environment').flat();
  // The last one counts.
  const found = variables.findLast((one) => one.startsWith(`${VARIABLE}=`));
  const hasCertificates = words('ExecStartPre').some((argv) => JSON.stringify(argv) === JSON.stringify(CERTIFICATES));
  const reasons =
    found === environment ? [] : [`sets ${found ? shown(found) : `no ${VARIABLE}`}, wanted ${environment}`];
  if (!hasCertificates) reasons.push(`creates no certificates, wanted ExecStartPre=${CERTIFICATES.join(' ')}`);
  const stale = entries.filter(([, value]) => value.includes(STALE));
  reasons.push(...stale.map(([key]) => `has ${STALE} in ${key}; use %h/.local/state instead of %S`));
  return reasons.map((reason) => `[Service] ${reason}`);
}
