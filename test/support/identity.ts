import type {
  AccessPolicy,
  ApiKeyPolicy,
  OidcIssuerPolicy,
} from '../../src/substrate/identity/access-policy.schema.js';

export const ISSUER = 'https://login.example.org/realms/bank';

export function issuerPolicy(keys: Pick<OidcIssuerPolicy, 'jwks' | 'jwks_uri'>): OidcIssuerPolicy {
  return {
    name: 'bank',
    issuer: ISSUER,
    audience: 'probity',
    algorithms: ['ES256', 'RS256'],
    source_type: 'HUMAN',
    roles_claim: ['realm_access', 'roles'],
    role_mapping: { 'fraud-reader': ['reader'], 'fraud-lead': ['reader', 'writer'] },
    clock_tolerance_s: 0,
    ...keys,
  };
}

export function accessPolicy(parts: {
  readonly api_keys?: ApiKeyPolicy[];
  readonly oidc?: OidcIssuerPolicy[];
}): AccessPolicy {
  return {
    roles: {
      visitor: ['health.read'],
      reader: ['health.read', 'metrics.read'],
      writer: ['ig.*'],
      caller: ['rpc.call:*'],
    },
    anonymous: { roles: ['visitor'] },
    service: { roles: ['caller'] },
    api_keys: [],
    oidc: [],
    ...parts,
  };
}
