// SPDX-License-Identifier: Apache-2.0

/** The compiler wrapper, and the server of sccache, which keeps the limit that it was started under. */

import { uptime } from 'node:os';
import type { Toolchain } from '../cargo/find-toolchain.ts';
import { isSccache } from '../cargo/sccache-recovery.ts';
import { refuseMissing } from '../cargo/settings.ts';
import { type Environment, textOf } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { listenerPid } from '../gateway/port.ts';
import { Guard, limitPrefix, REQUIRED_MIN, wrapperOf } from '../nofile/guard.ts';
import { cmd } from '../process/command.ts';
import { limitsOfProcess, statOf } from '../process/identity.ts';
import type { Doctor, Finding } from './check.ts';

/** Where the server listens unless told otherwise. */
const PORT = '4226';
/** Clock ticks of `/proc` (USER_HZ), the same on every Linux that the tasks run on. */
const TICKS_PER_SECOND = 100;

/** @throws usageError for a wrapper that is not there */
export function wrapperFinding(doctor: Doctor, toolchain: Toolchain): Finding {
  refuseMissing(toolchain.missingPrograms);
  return wrapperOf(environmentOf(doctor, toolchain)) ?? 'none is set';
}

function environmentOf({ ctx, root }: Doctor, { env: base }: Toolchain): Environment {
  return ctx.runner.environmentOf(cmd({ cwd: root, base, asInvoker: true })`cargo`);
}

/** @throws usageError for one with too low a limit, whose failure a build recovers from */
export function serverFinding(doctor: Doctor, toolchain: Toolchain): Finding {
  const { host, machine } = doctor;
  const env = environmentOf(doctor, toolchain);
  const wrapper = wrapperOf(env);
  if (wrapper === undefined || !isSccache(wrapper) || toolchain.missingPrograms.length > 0) return 'not used';
  if (host.platform !== 'linux' || textOf(env, 'SCCACHE_SERVER_UDS') !== undefined) {
    return { note: `whether the server of ${wrapper} runs is not known here; check: ${wrapper} --show-stats` };
  }
  const pid = listenerPid(Number(textOf(env, 'SCCACHE_SERVER_PORT') ?? PORT));
  if (pid === undefined) return 'none of yours runs, the first build starts one';
  const { soft = 0 } = limitsOfProcess(pid);
  const age = uptime() - Number(statOf(Number(pid))?.startTicks ?? 0) / TICKS_PER_SECOND;
  const since = new Date(Date.now() - age * 1000).toLocaleString('en-CA', { hourCycle: 'h23' });
  const server = `the server of ${wrapper} (pid ${pid}, since ${since}) may open ${soft} files`;
  if (soft >= REQUIRED_MIN) return server;
  const restart = `${limitPrefix(new Guard(env, machine).serverLimit)} ${wrapper} --start-server`;
  throw usageError(`${server}, and builds need ${REQUIRED_MIN}; run: ${wrapper} --stop-server; (${restart})`);
}
