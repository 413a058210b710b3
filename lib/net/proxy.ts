// SPDX-License-Identifier: Apache-2.0

/** Proxies of the environment, for `fetch`: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in either case. */

import { type Environment, textOf } from '../cli/env.ts';
import { usageError } from '../errors.ts';

const NAMES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY', 'no_proxy', 'NO_PROXY'] as const;

/**
 * Sends every later `fetch` of this process through the proxies that the environment names.
 * @throws usageError for a proxy that is not a URL
 */
export async function useProxies(env: Environment): Promise<void> {
  const set = NAMES.filter((name) => textOf(env, name) !== undefined);
  const proxies = set.filter((name) => !name.toLowerCase().startsWith('no_'));
  if (proxies.length === 0) return;
  for (const name of proxies) verifyProxy(name, textOf(env, name) as string);
  const { default: http } = await import('node:http');
  if (typeof http.setGlobalProxyFromEnv !== 'function') {
    throw usageError(`${proxies[0]} is set, and this Node (${process.version}) knows no proxies; take 24.14 or later`);
  }
  http.setGlobalProxyFromEnv(Object.fromEntries(set.map((name) => [name, textOf(env, name)])));
}

/** The value may hold a password, and is not shown. */
function verifyProxy(name: string, text: string): void {
  const protocol = URL.canParse(text) ? new URL(text).protocol : undefined;
  if (protocol === 'http:' || protocol === 'https:') return;
  throw usageError(`${name} is not the URL of a proxy; allowed is http://HOST:PORT or https://; change it or unset it`);
}
