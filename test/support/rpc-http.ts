import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { AccessPolicy } from '../../src/substrate/identity/access-policy.schema.js';
import { PolicyAccess } from '../../src/substrate/identity/access.js';
import { type GeneratedApiKey, generateApiKey } from '../../src/substrate/identity/api-key.js';
import { PolicyAuthenticator } from '../../src/substrate/identity/policy.authenticator.js';
import { RpcHost } from '../../src/substrate/rpc/rpc-host.js';
import { rpcControllerFor } from '../../src/substrate/rpc/rpc.controller.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import type { RpcContract } from '../../src/substrate/rpc/rpc.port.js';
import type { RecordedTelemetry } from './telemetry.js';

export interface HttpOwner {
  readonly app: NestFastifyApplication;
  readonly baseUrl: string;
  /** The API key of the calling service. */
  readonly credential: string;
  close(): Promise<void>;
}

export interface HttpOwnerParts {
  readonly contract: RpcContract;
  readonly service: object;
  readonly clock: Clock;
  readonly telemetry: RecordedTelemetry;
  readonly roles: AccessPolicy['roles'];
  readonly port?: number;
  /** The key of the calling service; a new one unless given. */
  readonly key?: GeneratedApiKey;
}

const OWNER = 'owner of the port';

/** A real Nest application on Fastify that serves one contract on a loopback port, with one API key for SYSTEM::teller. */
export async function openHttpOwner(parts: HttpOwnerParts): Promise<HttpOwner> {
  const { key = generateApiKey('teller-1') } = parts;
  const policy: AccessPolicy = {
    roles: parts.roles,
    anonymous: { roles: [] },
    service: { roles: [] },
    api_keys: [{ key_id: key.keyId, key_sha256: key.keySha256, actor_id: 'SYSTEM::teller', roles: ['caller'] }],
    oidc: [],
  };
  const { clock } = parts;
  const { telemetry } = parts.telemetry;
  const host = new RpcHost({
    access: new PolicyAccess(policy),
    authenticator: new PolicyAuthenticator(policy, { clock, logger: telemetry.logger }),
    clock,
    telemetry,
  });

  @Module({
    controllers: [rpcControllerFor(parts.contract, OWNER)],
    providers: [
      { provide: RpcHost, useValue: host },
      { provide: OWNER, useValue: parts.service },
    ],
  })
  class OwnerModule {}

  const app = await NestFactory.create<NestFastifyApplication>(
    OwnerModule,
    new FastifyAdapter({ forceCloseConnections: true }),
    { logger: false },
  );
  await app.listen(parts.port ?? 0, '127.0.0.1');
  return { app, baseUrl: await app.getUrl(), credential: key.token, close: () => app.close() };
}
