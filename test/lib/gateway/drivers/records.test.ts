// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { proxyKeys } from '../../../../lib/gateway/drivers/records.ts';

test('the proxy keys fail closed: empty is written, only true and false are booleans', () => {
  expect(proxyKeys({})).toEqual({});
  expect(
    proxyKeys({
      OPENSHELL_SANDBOX_HTTPS_PROXY: '',
      OPENSHELL_SANDBOX_NO_PROXY: 'a,b',
      OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE: 'yes',
      OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME: 'true',
    }),
  ).toEqual({ https_proxy: '', no_proxy: 'a,b', proxy_auth_allow_insecure: 'yes', proxy_connect_by_hostname: true });
});
