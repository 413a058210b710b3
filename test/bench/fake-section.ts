// SPDX-License-Identifier: Apache-2.0

/** The first section: every case with fake tools, each way beside the other. */

import { type BenchCase, CASES } from './cases.ts';
import { type Contestant, countPrograms, type Failures, timeInTurn, tryAll, whyNoCounting } from './measure.ts';
import { ratioText, type Summary, summarise, verdicts } from './numbers.ts';
import { type Baselines, type Place, WAYS, type Way } from './place.ts';
import { tableText } from './table.ts';

/** How much is measured. */
export interface FakeOptions {
  readonly rounds: number;
  readonly warmUp: number;
  /** Only cases whose name has this text; empty for all. */
  readonly only: string;
}

interface Entry {
  readonly record: BenchCase;
  readonly way: Way;
  readonly contestant: Contestant;
}

/** All that was found out about the contestants. */
interface Findings {
  readonly times: ReadonlyMap<Contestant, Summary>;
  readonly programs: ReadonlyMap<Contestant, number>;
  readonly failures: Failures;
}

/** @returns what to print, and whether everything ran */
export async function fakeSection(place: Place, options: FakeOptions): Promise<{ text: string; ok: boolean }> {
  const entries = entriesOf(place, options.only);
  const baselines = place.baselines();
  const chains = chainsOf(entries, baselines);
  const starts = [baselines.node, baselines.bash, baselines.script, ...chains.values()];
  const contestants = [...starts, ...entries.map(({ contestant }) => contestant)];
  const tried = await tryAll(contestants);
  const running = contestants.filter((contestant) => !tried.has(contestant));
  const noCounting = whyNoCounting();
  const programs = noCounting === undefined ? await countAll(running, place.root) : new Map<Contestant, number>();
  const timed = await timeInTurn(running, { warmUp: options.warmUp, counted: options.rounds });
  const failures = new Map([...tried, ...timed.failures]);
  const times = new Map(
    [...timed.times].filter(([one]) => !failures.has(one)).map(([one, values]) => [one, summarise(values)] as const),
  );
  const findings = { times, programs, failures };
  const text = [
    ...(noCounting === undefined ? [] : [`programs are not counted: ${noCounting}\n`]),
    tableOf(entries, baselines, starts, findings),
    limitsOf(entries, baselines, chains, findings),
    ...[...failures].map(([{ name }, why]) => `FAILED TO RUN: ${name}: ${why}\n`),
  ].join('\n');
  return { text, ok: failures.size === 0 };
}

function entriesOf(place: Place, only: string): Entry[] {
  return CASES.filter(({ name }) => name.includes(only)).flatMap((record) =>
    (Object.keys(WAYS) as Way[]).flatMap((way) => {
      const contestant = place.contestant(record, way);
      return contestant === undefined ? [] : [{ record, way, contestant }];
    }),
  );
}

/** A start for each length of chain that a case has. */
function chainsOf(entries: readonly Entry[], baselines: Baselines): Map<number, Contestant> {
  const lengths = [...new Set(entries.flatMap(({ record }) => record.limits?.chain ?? []))].toSorted((a, b) => a - b);
  return new Map(lengths.map((length) => [length, baselines.chain(length)]));
}

async function countAll(contestants: readonly Contestant[], directory: string): Promise<Map<Contestant, number>> {
  const programs = new Map<Contestant, number>();
  for (const contestant of contestants) {
    const count = await countPrograms(contestant, directory);
    if (count !== undefined) programs.set(contestant, count);
  }
  return programs;
}

const HEADING = [
  'case',
  'way',
  'programs',
  'min ms',
  'median ms',
  'max ms',
  '/ node -e 0',
  '/ bash -c :',
  '/ bash task',
];

function tableOf(
  entries: readonly Entry[],
  baselines: Baselines,
  starts: readonly Contestant[],
  found: Findings,
): string {
  const node = found.times.get(baselines.node);
  const shell = found.times.get(baselines.bash);
  const row = (name: string, way: string, contestant: Contestant, bash: Summary | undefined): string[] => {
    const time = found.times.get(contestant);
    if (time === undefined) return [name, way, 'failed'];
    const times = [time.min, time.median, time.max].map((ms) => ms.toFixed(1));
    const ratios = [node, shell, bash].map((base) => ratioText(time, base));
    return [name, way, String(found.programs.get(contestant) ?? '-'), ...times, ...ratios];
  };
  return tableText(
    [
      HEADING,
      ...starts.map((one) => row(one.name, '', one, undefined)),
      ...entries.map(({ record, way, contestant }) => {
        const bash = way === 'bash' ? undefined : bashOf(entries, record, found);
        return row(record.name, way, contestant, bash);
      }),
    ],
    2,
  );
}

function bashOf(entries: readonly Entry[], record: BenchCase, found: Findings): Summary | undefined {
  const entry = entries.find((one) => one.record === record && one.way === 'bash');
  return entry && found.times.get(entry.contestant);
}

function limitsOf(
  entries: readonly Entry[],
  baselines: Baselines,
  chains: ReadonlyMap<number, Contestant>,
  found: Findings,
): string {
  const [node, script] = [baselines.node, baselines.script].map((one) => found.times.get(one));
  const lines = entries.flatMap(({ record, way, contestant }) => {
    const time = found.times.get(contestant);
    if (way === 'bash' || record.limits === undefined || time === undefined || node === undefined) return [];
    const chain = chains.get(record.limits.chain ?? 0);
    const least = { chain: chain && found.times.get(chain), script: way === 'direct' ? script : undefined };
    const bash = bashOf(entries, record, found);
    const measured = { programs: found.programs.get(contestant), time, node, bash, least };
    return verdicts(record.limits, measured).map((verdict) => `  ${record.name} [${way}]: ${verdict}\n`);
  });
  return lines.length === 0 ? '' : `Limits (of medians):\n${lines.join('')}`;
}
