// SPDX-License-Identifier: Apache-2.0

/** The commands of the `openshell` CLI for the sandbox of a developer, and what its output means; pure. */

import { stripVTControlCharacters } from 'node:util';
import { mark } from '../cli/unknowns.ts';
import { MissingTool, oneLine, shown, usageError } from '../errors.ts';
import { parseTable } from '../fs/parse-json.ts';

export const CLI = 'openshell';
/** The one sandbox of these tasks. */
export const SANDBOX = 'dev';
/** The API key that the sandbox's agent uses, and the provider for it. */
export const KEY_VARIABLE = 'ANTHROPIC_API_KEY';
const PROVIDER = 'anthropic';

export const PROBES = {
  status: [CLI, 'status', '-o', 'json'],
  sandbox: [CLI, 'sandbox', 'get', SANDBOX],
  provider: [CLI, 'provider', 'get', PROVIDER],
} as const;

/** The CLI takes the key from its environment: in its arguments every user of the machine could read it. */
export const CREATE_PROVIDER = [
  ...[CLI, 'provider', 'create', '--name', PROVIDER, '--type', 'claude'],
  ...['--credential', KEY_VARIABLE],
] as const;

export const CONNECT = [CLI, 'sandbox', 'connect', SANDBOX] as const;

/** The arguments that create the sandbox and run a command in it, `claude` if it is empty. */
export function createArguments(hasProvider: boolean, command: readonly string[]): string[] {
  const provider = hasProvider ? ['--provider', PROVIDER] : [];
  const chosen = command.length > 0 ? command : ['claude'];
  return [CLI, 'sandbox', 'create', '--name', SANDBOX, ...provider, '--tty', '--', ...chosen];
}

/** The arguments that run a command in the existing sandbox. */
export function execArguments(command: readonly string[]): string[] {
  return [CLI, 'sandbox', 'exec', '--name', SANDBOX, '--tty', '--', ...command];
}

/** What a dry run says where it is unknown what the gateway has. */
export function unknownLines(hasKey: boolean): string[] {
  const where = (what: string) => `# ${mark(what, 'gateway not reachable')}: where it exists`;
  return [
    `${where(`sandbox ${SANDBOX}`)}, nothing but: ${CONNECT.join(' ')}`,
    `${where(`provider ${PROVIDER}`)}, ${hasKey ? 'it is not created' : `also --provider ${PROVIDER}`}`,
  ];
}

const HOW_TO_GET_ONE = `start one in another terminal (mise run gateway), or register one (${CLI} gateway add <endpoint>)`;

/**
 * Reads the output of `status -o json`: the CLI exits with 0 for every status.
 * @throws MissingTool unless a gateway is connected, with the CLI's own reason
 */
export function verifyConnected(output: string): void {
  const { status, gateway, server, error } = parseTable(output) ?? {};
  if (status === 'connected' || status === 'connected_http') return;
  if (status === undefined) {
    throw usageError(`${PROBES.status.join(' ')} printed ${shown(output)}, which is not a status; update the CLI`);
  }
  if (status === 'not_configured') throw new MissingTool(`no gateway is configured; ${HOW_TO_GET_ONE}`);
  const reason = typeof error === 'string' ? ` (${oneLine(error)})` : '';
  throw new MissingTool(
    `the gateway ${gateway} (${server}) is not connected: its status is ${status}${reason}; ${HOW_TO_GET_ONE}`,
  );
}

/** Whether the CLI's reason is the gateway's status NOT_FOUND, as its gRPC library prints it, old and new. */
export function isNotFound(reason: string): boolean {
  // The CLI wraps its messages, so a line may break anywhere.
  const text = stripVTControlCharacters(reason).replaceAll(/[\s│]+/g, ' ');
  return /code: 'Some requested entity was not found'|status: NotFound\b/.test(text);
}
