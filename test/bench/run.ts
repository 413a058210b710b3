// SPDX-License-Identifier: Apache-2.0

/**
 * `npm run bench`: what the tasks cost, in wall time and in programs started. It informs: it ends
 * with 1 only when something did not run at all, never because something was slow.
 *
 * `OPENSHELL_BASH_CHECKOUT` names an OpenShell checkout whose bash tasks are measured beside ours;
 * `OPENSHELL_BENCH_CHECKOUT` one that can be built, on which the docker launchers of both are timed.
 */

import { existsSync, rmSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compressionSection } from './compression-section.ts';
import { fakeSection } from './fake-section.ts';
import { gatewaySection } from './gateway-section.ts';
import { launchSection } from './launch-section.ts';
import { listenForStop, Stopped } from './measure.ts';
import { Place, WAYS } from './place.ts';
import { publishSection } from './publish-section.ts';
import { realSection } from './real-section.ts';

/** A staging with real tools takes longer than one with fakes. */
const REAL_ROUNDS = 15;

const SECTIONS = ['fake', 'real', 'launch', 'gateway', 'publish', 'compression'] as const;

const HELP = `Usage: npm run bench -- [${SECTIONS.join(' | ')}]... [options]

  fake             every task with fake tools, beside bash's
  real             stagings with real tools
  launch           what a launch has cargo build, over real crates
  gateway          the docker launcher, warm, to the answering port, as root
  publish          a cold publish of both images for two platforms, with real engines, as root
  compression      the VM bundle's compression, beside the zstd program

  --rounds N       counted rounds of the cases with fake tools (default 31)
  --warm-up N      rounds before them that do not count (default 3)
  --only TEXT      only the cases with fake tools whose name has this text
  --cold-rounds N  rounds of cold builds (default 1; 0 leaves them out)
  --megabytes N    the size of the file to compress (default 200)
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    rounds: { type: 'string', default: '31' },
    'warm-up': { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    'cold-rounds': { type: 'string', default: '1' },
    megabytes: { type: 'string', default: '200' },
  },
});

if (values.help) process.stdout.write(HELP);
else process.exitCode = await main();

type Section = (place: Place) => Promise<{ readonly text: string; readonly ok: boolean }>;

/** @returns the exit status */
async function main(): Promise<number> {
  const sections = chosenSections(allSections());
  listenForStop();
  const place = new Place(bashCheckout());
  place.serveEngines();
  try {
    process.stdout.write(`${machineText()}\n${waysText()}\n`);
    let isWhole = true;
    for (const section of sections) {
      const { text, ok } = await section(place);
      process.stdout.write(`${text}\n`);
      isWhole &&= ok;
    }
    process.stdout.write(`load average at the end: ${loadText()}\n`);
    return isWhole ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    return 130;
  } finally {
    rmSync(place.root, { recursive: true, force: true });
  }
}

function allSections(): Record<(typeof SECTIONS)[number], Section> {
  const rounds = count('rounds', values.rounds, 1);
  const warmUp = count('warm-up', values['warm-up'], 0);
  const coldRounds = count('cold-rounds', values['cold-rounds'], 0);
  const megabytes = count('megabytes', values.megabytes, 1);
  return {
    fake: async (place) => {
      const { text, ok } = await fakeSection(place, { rounds, warmUp, only: values.only });
      return { text: `Fake tools, ${rounds} rounds in turn after ${warmUp} to warm up\n\n${text}`, ok };
    },
    real: (place) => realSection(place, { rounds: Math.min(rounds, REAL_ROUNDS), coldRounds }),
    launch: (place) => launchSection(place, coldRounds),
    gateway: gatewaySection,
    publish: async (place) => (coldRounds === 0 ? { text: '', ok: true } : publishSection(place, coldRounds)),
    compression: (place) => compressionSection(place, megabytes),
  };
}

/** Those that were named, else all; `--only` is about the one with fake tools. */
function chosenSections(all: Record<(typeof SECTIONS)[number], Section>): Section[] {
  const unknown = positionals.find((name) => !SECTIONS.some((known) => known === name));
  if (unknown !== undefined) throw new RangeError(`'${unknown}' is no section; there are ${SECTIONS.join(', ')}`);
  const names =
    values.only === ''
      ? SECTIONS.filter((name) => positionals.length === 0 || positionals.includes(name))
      : ['fake' as const];
  return names.map((name) => all[name]);
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
