// SPDX-License-Identifier: Apache-2.0

/**
 * The third section: the bundle's compression beside the zstd program, at the same level and with as
 * many threads, on a file of machine code. Each is a process of its own; memory is its peak.
 */

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../lib/process/which.ts';
import { LEVEL } from '../../lib/zstd/compress.ts';
import { contentDefect } from '../../lib/zstd/decompress.ts';
import type { Place } from './place.ts';
import { tableText } from './table.ts';

/** Times the program's time, and bytes over its memory. */
const LIMITS = { time: 1.1, extraBytes: 100e6 } as const;
const POLL_MS = 20;
/** Of `/proc`, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface Result {
  readonly name: string;
  readonly seconds: number;
  /** The peak of resident memory; NaN where the system does not tell. */
  readonly memory: number;
  /** Time on all cores together, which a busy machine stretches less. */
  readonly cpuSeconds: number;
  readonly size: number;
}

/**
 * @param megabytes the size of the file
 * @returns what to print, and whether everything that could run did
 */
export async function compressionSection(place: Place, megabytes: number): Promise<{ text: string; ok: boolean }> {
  const zstd = findProgram('zstd', process.env);
  if (zstd === undefined) return { text: 'Compression: skipped, zstd is not on PATH\n', ok: true };
  const source = join(place.root, 'machine-code');
  const outputs = [join(place.root, 'program.zst'), join(place.root, 'ours.zst')] as const;
  writeMachineCode(source, megabytes * 1e6);
  try {
    const program = await run(
      `zstd -${LEVEL} -T0`,
      [zstd, `-${LEVEL}`, '-T0', '-q', '-f', source, '-o', outputs[0]],
      outputs[0],
    );
    const task = join(import.meta.dirname, 'compress.ts');
    const ours = await run('the bundle, Node included', [process.execPath, task, source, outputs[1]], outputs[1]);
    const defect = contentDefect(outputs[1], source);
    if (defect !== undefined) return { text: `FAILED TO RUN: our output is wrong: ${defect}\n`, ok: false };
    return { text: reportText(program, ours, megabytes), ok: true };
  } catch (error) {
    return { text: `FAILED TO RUN: ${(error as Error).message}\n`, ok: false };
  } finally {
    for (const path of [source, ...outputs]) rmSync(path, { force: true });
  }
}

function reportText(program: Result, ours: Result, megabytes: number): string {
  const rows = [program, ours].map(({ name, seconds, cpuSeconds, memory, size }) => [
    name,
    seconds.toFixed(1),
    cpuSeconds.toFixed(1),
    (memory / 1e6).toFixed(0),
    (size / 1e6).toFixed(1),
  ]);
  const time = ours.seconds / program.seconds;
  const memory = ours.memory - program.memory;
  return [
    `Compression of ${megabytes} MB of machine code, one run each\n`,
    tableText([['', 's', 'CPU s', 'peak MB', 'output MB'], ...rows], 1),
    `Limits: time ${time.toFixed(2)} of the program's, at most ${LIMITS.time}, ${verdict(time <= LIMITS.time)}`,
    `        memory ${(memory / 1e6).toFixed(0)} MB over it, at most ${LIMITS.extraBytes / 1e6}, ${verdict(!(memory > LIMITS.extraBytes))}\n`,
  ].join('\n');
}

function verdict(isMet: boolean): string {
  return isMet ? 'met' : 'MISSED';
}

/** Node's own program, again and again: code and tables, as a supervisor has. Repeats are out of the encoder's sight. */
function writeMachineCode(path: string, size: number): void {
  const code = readFileSync(process.execPath);
  const handle = openSync(path, 'w');
  for (let at = 0; at < size; at += code.length) writeSync(handle, code, 0, Math.min(code.length, size - at));
  closeSync(handle);
}

/** Runs a program to its good end and watches its memory. */
async function run(name: string, [program = '', ...args]: readonly string[], output: string): Promise<Result> {
  const start = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let usage = { memory: Number.NaN, cpuSeconds: Number.NaN };
  const timer = setInterval(() => {
    usage = usageOf(child.pid) ?? usage;
  }, POLL_MS);
  const status = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('exit', resolve),
  );
  const seconds = (performance.now() - start) / 1000;
  clearInterval(timer);
  if (status !== 0) throw new Error(`${name} ended with status ${status}`);
  return { name, seconds, ...usage, size: statSync(output).size };
}

/** The peak of a process's resident memory in bytes, and its CPU time, where `/proc` tells. */
function usageOf(pid: number | undefined): Pick<Result, 'memory' | 'cpuSeconds'> | undefined {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    if (kilobytes === undefined) return undefined;
    return { memory: Number(kilobytes) * 1024, cpuSeconds: (Number(user) + Number(system)) / TICKS_PER_SECOND };
  } catch {
    return undefined;
  }
}
