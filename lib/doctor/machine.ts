// SPDX-License-Identifier: Apache-2.0

/** The machine, the checkout, and the variables that count. */

import { statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { readCargoSettings, targetDirectoryOf } from '../cargo/settings.ts';
import { misspelt, readPath } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { ancestorsOf, fileIdentity } from '../fs/paths.ts';
import { verifyPlace } from '../fs/writable-places.ts';
import { DOCTOR_TASKS } from '../product.ts';
import type { Check, Doctor, Finding } from './check.ts';

const GB = 1e9;
/** Below these a first build of OpenShell, which takes 8 GB on disk, may not end. */
const DISK_LOW = 10 * GB;
/** Below this no build of it ends. */
const DISK_FULL = GB;
const MEMORY_LOW = 2 * GB;

export function machineChecks(doctor: Doctor): Check[] {
  const platform = () => {
    const { arch, platform } = doctor.host;
    if (arch !== undefined) return `${platform}, ${arch}`;
    throw usageError(`this machine is ${process.arch}, and sandboxes run on amd64 and arm64; use another one`);
  };
  return [
    ['platform', DOCTOR_TASKS, platform],
    ['Node', [], () => `${process.execPath}, ${process.version}`],
    ['checkout', [], () => doctor.root],
    ['disk', DOCTOR_TASKS, () => diskFinding(doctor)],
    ['memory', [], memoryFinding],
  ];
}

async function diskFinding({ ctx: { env, startDirectory }, root }: Doctor): Promise<Finding> {
  const named = readPath(env, 'CARGO_TARGET_DIR', startDirectory);
  const path = targetDirectoryOf(root, named, await readCargoSettings(root, env));
  verifyPlace({ kind: 'directory', path, remedy: 'set CARGO_TARGET_DIR to another directory' });
  const { bavail, bsize } = statfsSync(ancestorsOf(path).find(fileIdentity) ?? '/');
  return spaceFinding(bavail * bsize, path);
}

/** @throws usageError where so many bytes cannot be enough */
export function spaceFinding(free: number, path: string): Finding {
  const text = `${(free / GB).toFixed(1)} GB free for ${path}`;
  if (free < DISK_FULL) throw usageError(`${text}; set CARGO_TARGET_DIR to a larger disk, or run: cargo clean`);
  return free < DISK_LOW ? { note: `${text}, which a first build may use up` } : text;
}

function memoryFinding(): Finding {
  const free = process.availableMemory();
  const text = `${(free / GB).toFixed(1)} of ${(totalmem() / GB).toFixed(1)} GB available`;
  return free < MEMORY_LOW ? { note: `${text}; for a build that takes less: export CARGO_BUILD_JOBS=1` } : text;
}

export function variableChecks({ ctx: { dotEnv, env } }: Doctor): Check[] {
  const file = dotEnv === undefined ? 'adds nothing' : `${dotEnv.path} sets ${dotEnv.names.join(', ') || 'nothing'}`;
  const names = () => {
    const texts = misspelt(Object.keys(env)).map(({ meant, name }) => {
      const place = dotEnv?.names.includes(name) === true ? `change it in ${dotEnv.path}` : `run: unset ${name}`;
      return `${name} is read by no task, and may be meant for ${meant}; ${place}`;
    });
    if (texts.length > 0) throw usageError(texts.join('; '));
    return 'none is nearly that of another variable';
  };
  return [
    ['.env', [], () => file],
    ['names', [], names],
  ];
}
