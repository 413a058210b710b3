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
  const floors = floorsOf(entries, baselines);
  const starts = [baselines.node, baselines.bash, ...floors.values()];
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
    tableOf(entries, baselines, floors, findings),
    limitsOf(entries, baselines, floors, findings),
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

type Floors = ReadonlyMap<string, Contestant>;

/** A start for each length of chain and each way of ours. */
function floorsOf(entries: readonly Entry[], baselines: Baselines): Floors {
  const ours = entries.filter(({ way }) => way !== 'bash').toSorted((a, b) => a.record.chain - b.record.chain);
  return new Map(ours.map(({ record, way }) => [floorKey(record, way), baselines.floor(record.chain, way)]));
}

function floorKey({ chain }: BenchCase, way: Way): string {
  return `${chain} ${way}`;
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
  '/ floor',
];

function tableOf(entries: readonly Entry[], baselines: Baselines, floors: Floors, found: Findings): string {
  const node = found.times.get(baselines.node);
  const shell = found.times.get(baselines.bash);
  const row = (
    name: string,
    way: string,
    contestant: Contestant,
    bases: readonly (Summary | undefined)[],
  ): string[] => {
    const time = found.times.get(contestant);
    if (time === undefined) return [name, way, 'failed'];
    const times = [time.min, time.median, time.max].map((ms) => ms.toFixed(1));
    const ratios = [node, shell, ...bases].map((base) => ratioText(time, base));
    return [name, way, String(found.programs.get(contestant) ?? '-'), ...times, ...ratios];
  };
  const starts = [baselines.node, baselines.bash, ...floors.values()];
  return tableText(
    [
      HEADING,
      ...starts.map((one) => row(one.name, '', one, [undefined, undefined])),
      ...entries.map(({ record, way, contestant }) => {
        const bash = way === 'bash' ? undefined : bashOf(entries, record, found);
        return row(record.name, way, contestant, [bash, floorOf(record, way, floors, found)]);
      }),
    ],
    2,
  );
}

function floorOf(record: BenchCase, way: Way, floors: Floors, found: Findings): Summary | undefined {
  const floor = floors.get(floorKey(record, way));
  return floor && found.times.get(floor);
}

function bashOf(entries: readonly Entry[], record: BenchCase, found: Findings): Summary | undefined {
  const entry = entries.find((one) => one.record === record && one.way === 'bash');
  return entry && found.times.get(entry.contestant);
}

function limitsOf(entries: readonly Entry[], baselines: Baselines, floors: Floors, found: Findings): string {
  const node = found.times.get(baselines.node);
  const lines = entries.flatMap(({ record, way, contestant }) => {
    const time = found.times.get(contestant);
    if (way === 'bash' || time === undefined || node === undefined) return [];
    const { timesNode, ...limits } = record.limits ?? {};
    const own = way === 'mise' && timesNode !== undefined ? { ...limits, timesNode } : limits;
    const floor = floorOf(record, way, floors, found);
    const measured = { programs: found.programs.get(contestant), time, node, floor };
    return verdicts(own, measured).map((verdict) => `  ${record.name} [${way}]: ${verdict}\n`);
  });
  return lines.length === 0 ? '' : `Limits (of medians):\n${lines.join('')}`;
}
