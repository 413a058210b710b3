// SPDX-License-Identifier: Apache-2.0

/**
 * The open-file guard as a pure decision: facts in, plan out.
 *
 * Why it is there: one static link of the supervisor opens every `.rlib` of its dependencies at once (333 in 2026), a
 * stock macOS shell allows 256 open files, and zig then dies with `ProcessFdQuotaExceeded`
 * (https://github.com/rust-cross/cargo-zigbuild/issues/329); sccache fails in its own way on native builds. The zig
 * half can go when the pinned cargo-zigbuild raises the limit itself
 * (https://github.com/rust-cross/cargo-zigbuild/pull/462), the rest when sccache does.
 */

import { type Environment, parseBoolean, readVariable } from '../cli/env.ts';

const MODE = 'OPENSHELL_BUILD_NOFILE_GUARD';
const LIMIT = 'OPENSHELL_BUILD_NOFILE_LIMIT';
const LEGACY_LIMIT = 'OPENSHELL_VM_BUILD_NOFILE_LIMIT';

/** The limit where the user has not set another one. */
export const WANTED_DEFAULT = 8192;
/** Below this a build is refused: its link is known to fail. */
export const REQUIRED_MIN = 1024;

/** The first cargo-zigbuild with that change, which is for macOS only. */
export const ZIGBUILD_RAISES = '0.23.1';

/** What the user asked for. */
export interface NofileRequest {
  readonly mode: 'auto' | 'on' | 'off';
  /** The soft limit to build under, a count of open files, 1 or more. */
  readonly wanted: number;
  /** The variable that `wanted` comes from; `undefined` for the default. */
  readonly source: string | undefined;
}

/** What the machine and the command are. Limits are counts of open files; `Infinity` is unlimited. */
export interface NofileFacts {
  readonly platform: NodeJS.Platform;
  /** cargo-zigbuild can be reached, or the command is one. */
  readonly zigbuild: boolean;
  /** A compiler wrapper (`RUSTC_WRAPPER`) is set. */
  readonly wrapper: boolean;
  /** The soft limit that a child would inherit; `undefined` where it cannot be read. */
  readonly soft: number | undefined;
  readonly hard: number | undefined;
}

/** What to do before a command runs. */
export type NofilePlan =
  | { readonly kind: 'leave' }
  | { readonly kind: 'raise'; readonly from: number; readonly to: number; readonly shortOf: number | undefined }
  | { readonly kind: 'refuse'; readonly message: string };

/**
 * Reads the guard's variables. They are checked on every platform, whether the guard acts or not.
 * @throws usageError naming the variable
 */
export function nofileRequest(env: Environment): NofileRequest {
  const text = readVariable(env, MODE);
  const mode = text.toLowerCase() === 'auto' ? 'auto' : parseBoolean(MODE, text, ['auto']) ? 'on' : 'off';
  const current = readVariable(env, LIMIT);
  const legacy = readVariable(env, LEGACY_LIMIT);
  if (current !== undefined) return { mode, wanted: current, source: LIMIT };
  if (legacy !== undefined) return { mode, wanted: legacy, source: LEGACY_LIMIT };
  return { mode, wanted: WANTED_DEFAULT, source: undefined };
}

/** The guard's decision: never lowers the soft limit, never touches the hard one. */
export function planNofile(request: NofileRequest, facts: NofileFacts): NofilePlan {
  const { soft, hard = Number.POSITIVE_INFINITY } = facts;
  if (!isGuarded(request, facts) || soft === undefined || soft >= request.wanted) return { kind: 'leave' };
  const to = Math.min(request.wanted, hard);
  if (to < REQUIRED_MIN) return { kind: 'refuse', message: refusal(request, facts.platform, hard) };
  if (to <= soft) return { kind: 'leave' };
  return { kind: 'raise', from: soft, to, shortOf: to < request.wanted ? request.wanted : undefined };
}

function isGuarded(request: NofileRequest, facts: NofileFacts): boolean {
  if (request.mode !== 'auto') return request.mode === 'on';
  return facts.platform === 'darwin' && (facts.zigbuild || facts.wrapper);
}

/** Names what is too low and the command that fixes it. */
function refusal(request: NofileRequest, platform: NodeJS.Platform, hard: number): string {
  if (request.wanted < REQUIRED_MIN) {
    return (
      `${request.source} is '${request.wanted}', but a static link needs ${REQUIRED_MIN} open files or more; ` +
      `unset it or run: export ${request.source}=${WANTED_DEFAULT}`
    );
  }
  const fix =
    platform === 'darwin'
      ? `sudo launchctl limit maxfiles ${request.wanted} unlimited (then open a new terminal)`
      : `sudo prlimit --pid $$ --nofile=${request.wanted}:${request.wanted} (containers: --ulimit nofile=${request.wanted})`;
  return `the hard limit of open files is ${hard}, but a static link needs ${REQUIRED_MIN} or more; run: ${fix}`;
}

/** The shell text that sets a soft limit; empty where nothing is to be done. */
export function limitPrefix(limit: number | undefined): string {
  return limit === undefined ? '' : `ulimit -S -n ${Number.isFinite(limit) ? limit : 'unlimited'};`;
}
