// SPDX-License-Identifier: Apache-2.0

/** The configuration of libkrun's kernel, with the source of a real one: its own merge_config.sh and olddefconfig. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeLibkrun } from '../support/fake-libkrun.ts';
import { requireTools } from '../support/real-tools.ts';

const tools = requireTools('git', 'make', 'cc', 'flex', 'bison', 'linux-source');

/** As libkrunfw's, for a tree with everything that a configuration reads, and a kernel that is only configured. */
const MAKEFILE = `KERNEL_VERSION = linux-6.1
ABI_VERSION = 5

libkrunfw.so.5: kernel.c
\tcp kernel.c $@
kernel.c: $(KERNEL_VERSION)/.config
\tcp $< $@
tarballs/source:
\tmkdir -p $@
\ttar -C $@ --strip-components=1 -xJf "$(LINUX_SOURCE)" --wildcards '*/Kconfig*' 'linux-*/Makefile' 'linux-*/scripts/*' 'linux-*/arch/x86/*' 'linux-*/arch/arm64/*'
$(KERNEL_VERSION): tarballs/source
\tcp -r $< $@
\tcp config-libkrunfw $@/.config
\t$(MAKE) -C $@ ARCH=$(if $(findstring aarch64,$(shell uname -m)),arm64,x86) olddefconfig
`;
const BASE =
  'CONFIG_64BIT=y\nCONFIG_NET=y\nCONFIG_INET=y\n# CONFIG_NETFILTER is not set\n# CONFIG_MODULES is not set\n';
const FRAGMENT = `# Bridges need a part of the network that is off.
CONFIG_BRIDGE=y
CONFIG_NETFILTER=y
CONFIG_NETFILTER_ADVANCED=y
CONFIG_NF_CONNTRACK=y
CONFIG_NF_NAT=y
CONFIG_BRIDGE_NETFILTER=y
`;

describe('the configuration of a real kernel', { ...tools.options, timeout: 300_000 }, () => {
  test('BLD-4: the fragment is merged into a fresh tree, and its dependencies are resolved; an option that goes is gone', async () => {
    const checkout = new FakeLibkrun();
    checkout.pin(checkout.commit('libkrunfw', { Makefile: MAKEFILE, 'config-libkrunfw': BASE }));
    checkout.setFragment(FRAGMENT);
    const PATH = [checkout.tools.bin, tools.env.PATH].join(':');
    const env = { PATH, LINUX_SOURCE: tools.path('linux-source') };
    // Whether this machine has the packages is not what is tested.
    checkout.tools.add('dpkg-query', [{ args: [], script: `exec /usr/bin/printf 'installed %s\\n' ${PACKAGES}` }]);
    // The kernel asks which one it could use.
    checkout.tools.add('rustc', [{ args: ['--version'], script: 'exit 1' }]);
    const config = () => readFileSync(join(checkout.out, 'kernel.c'), 'utf8').split('\n');
    const first = await checkout.build(env);
    expect(first.status, first.stderr).toBe(0);
    expect(config()).toEqual(
      expect.arrayContaining(['CONFIG_BRIDGE=y', 'CONFIG_NF_NAT=y', 'CONFIG_BRIDGE_NETFILTER=y']),
    );
    expect(config()).toContain('CONFIG_LLC=y');
    const again = await checkout.build(env);
    expect(again.stderr).toContain('linux-6.1 is configured already');
    checkout.setFragment(FRAGMENT.replace('CONFIG_BRIDGE_NETFILTER=y\n', '# CONFIG_BRIDGE_NETFILTER is not set\n'));
    expect((await checkout.build(env)).stderr).toContain('linux-6.1 is made anew: ');
    expect(config()).not.toContain('CONFIG_BRIDGE_NETFILTER=y');
    checkout.setFragment('CONFIG_BRIDGE=y\n# CONFIG_INET is not set\n');
    const wrong = await checkout.build(env);
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toMatch(/\.config has no CONFIG_NETFILTER, CONFIG_NF_NAT; /);
  });
});

const PACKAGES = [
  ...['build-essential', 'git', 'python3', 'python3-pyelftools', 'flex', 'bison', 'libelf-dev', 'libssl-dev'],
  ...['libcap-ng-dev', 'bc', 'curl', 'libclang-dev', 'cpio'],
].join(' ');
