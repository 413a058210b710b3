// SPDX-License-Identifier: Apache-2.0

/** The gateway's units as the packages have them: that of Debian, and a spec with one in it. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts for systemd

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PRODUCT } from '../../lib/product.ts';

export const ENVIRONMENT = 'Environment=OPENSHELL_LOCAL_TLS_DIR=%h/.local/state/openshell/tls';
export const CERTIFICATES =
  'ExecStartPre=/usr/bin/openshell-gateway generate-certs --output-dir ${OPENSHELL_LOCAL_TLS_DIR} ' +
  '--server-san host.openshell.internal';

export const UNIT = `[Unit]
Description=The gateway

[Service]
Type=exec
${ENVIRONMENT}
EnvironmentFile=-%E/openshell/gateway.env
${CERTIFICATES}
ExecStart=/usr/bin/openshell-gateway

[Install]
WantedBy=default.target
`;

/** A spec that writes a unit. */
export function specWith(unit: string): string {
  return `Name: openshell

%install
install -d %{buildroot}%{_userunitdir}
cat > %{buildroot}%{_userunitdir}/%{name}-gateway.service << 'EOF'
${unit.replaceAll('%', '%%')}EOF
cat > %{buildroot}/METADATA << EOF
Name: %{name}
EOF

%files
%{_userunitdir}/%{name}-gateway.service
`;
}

/** Writes both into a checkout. */
export function addAssets(root: string, unit = UNIT, spec = specWith(UNIT)): void {
  mkdirSync(dirname(join(root, PRODUCT.debianUnit)), { recursive: true });
  writeFileSync(join(root, PRODUCT.debianUnit), unit);
  writeFileSync(join(root, PRODUCT.rpmSpec), spec);
}
