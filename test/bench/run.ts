// SPDX-License-Identifier: Apache-2.0

/**
 * `npm run bench`: what the tasks cost, in wall time and in programs started. It informs: it ends
 * with 1 only when something did not run at all, never because something was slow.
 *
 * `OPENSHELL_BASH_CHECKOUT` names an OpenShell checkout whose bash tasks are measured beside ours.
 */

import { existsSync, rmSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fakeSection } from './fake-section.ts';
import { listenForStop, Stopped } from './measure.ts';
import { Place, WAYS } from './place.ts';
import { publishSection } from './publish-section.ts';
import { realSection } from './real-section.ts';

/** A staging with real tools takes longer than one with fakes. */
const REAL_ROUNDS = 15;

const HELP = `Usage: npm run bench -- [options]

  --rounds N       counted rounds of the cases with fake tools (default 31)
  --warm-up N      rounds before them that do not count (default 3)
  --only TEXT      only the cases whose name has this text, and no real tools
  --no-real        leave out the section with real tools
  --cold-rounds N  rounds of the cold builds for two targets (default 1; 0 leaves them out)
  --publish-rounds N  rounds of the cold publish with real engines, as root (default 1; 0 leaves it out)
  --publish        only the cold publish
`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    rounds: { type: 'string', default: '31' },
    'warm-up': { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    real: { type: 'boolean', default: true },
    'cold-rounds': { type: 'string', default: '1' },
    'publish-rounds': { type: 'string', default: '1' },
    publish: { type: 'boolean', default: false },
  },
  allowNegative: true,
});

if (values.help) process.stdout.write(HELP);
else process.exitCode = await main();

/** @returns the exit status */
async function main(): Promise<number> {
  const rounds = count('rounds', values.rounds, 1);
  const warmUp = count('warm-up', values['warm-up'], 0);
  const coldRounds = count('cold-rounds', values['cold-rounds'], 0);
  const publishRounds = count('publish-rounds', values['publish-rounds'], 0);
  listenForStop();
  const place = new Place(bashCheckout());
  try {
    process.stdout.write(`${machineText()}\n`);
    if (values.publish) return (await printPublish(place, publishRounds)) ? 0 : 1;
    process.stdout.write(`${waysText()}\n`);
    const fake = await fakeSection(place, { rounds, warmUp, only: values.only });
    process.stdout.write(`Fake tools, ${rounds} rounds in turn after ${warmUp} to warm up\n\n${fake.text}\n`);
    if (!values.real || values.only !== '') return fake.ok ? 0 : 1;
    const real = await realSection(place, { rounds: Math.min(rounds, REAL_ROUNDS), coldRounds });
    process.stdout.write(`${real.text}\n`);
    const isPublished = await printPublish(place, publishRounds);
    return fake.ok && real.ok && isPublished ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    return 130;
  } finally {
    rmSync(place.root, { recursive: true, force: true });
  }
}

/** @returns whether everything that could run did */
async function printPublish(place: Place, rounds: number): Promise<boolean> {
  const section = rounds === 0 ? { text: '', ok: true } : await publishSection(place, rounds);
  process.stdout.write(`${section.text}\nload average at the end: ${loadText()}\n`);
  return section.ok;
}

function count(name: string, text: string, min: number): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < min)
    throw new RangeError(`--${name} is '${text}', not a number >= ${min}`);
  return Number(text);
}

function bashCheckout(): string | undefined {
  const named = process.env.OPENSHELL_BASH_CHECKOUT;
  if (named === undefined || named === '') return undefined;
  if (existsSync(join(named, 'tasks', 'scripts'))) return named;
  throw new RangeError(`OPENSHELL_BASH_CHECKOUT is '${named}', which has no tasks/scripts`);
}

function machineText(): string {
  const cores = cpus();
  return `${process.platform} ${process.arch}, ${cores.length} cores (${cores[0]?.model ?? 'unknown'}), Node ${process.version}, load average ${loadText()}\n`;
}

function loadText(): string {
  return loadavg()
    .map((load) => load.toFixed(2))
    .join(' ');
}

function waysText(): string {
  const ways = Object.entries(WAYS).map(([way, text]) => `  ${way.padEnd(6)}  ${text}\n`);
  const note = bashCheckout() === undefined ? '  (no bash rows: OPENSHELL_BASH_CHECKOUT is not set)\n' : '';
  return `Ways:\n${ways.join('')}${note}`;
}
