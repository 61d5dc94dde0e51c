import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

export interface IssuerKey {
  readonly kid: string;
  readonly publicJwk: JWK;
  readonly publicPem: string;
  readonly privateKey: CryptoKey;
}

export async function issuerKey(kid: string, algorithm = 'ES256'): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const publicJwk = { ...(await exportJWK(publicKey)), kid, use: 'sig' };
  return { kid, publicJwk, publicPem: await exportSPKI(publicKey), privateKey };
}

/** A token of the key with the given claims; times in seconds since the epoch. */
export function sign(key: IssuerKey, claims: JWTPayload, header: Readonly<Record<string, unknown>> = {}) {
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: key.kid, ...header }).sign(key.privateKey);
}

export interface JwksServer {
  readonly uri: string;
  /** How often it was asked. */
  requests: number;
  keys: readonly IssuerKey[];
  /** What it does instead of answering. */
  fault: 'none' | 'error' | 'garbage' | 'silence' | 'redirect' | 'endless';
  stop(): Promise<void>;
}

/** An issuer's JWKS address on the loopback interface. */
export async function openJwksServer(keys: readonly IssuerKey[]): Promise<JwksServer> {
  const http = createServer((_, response) => {
    server.requests += 1;
    switch (server.fault) {
      case 'none':
        response.setHeader('content-type', 'application/json');
        return response.end(JSON.stringify({ keys: server.keys.map(({ publicJwk }) => publicJwk) }));
      case 'error':
        return response.writeHead(500).end();
      case 'garbage':
        return response.end('<html>');
      case 'redirect':
        return response.writeHead(302, { location: '/elsewhere' }).end();
      case 'endless': {
        const more = (): unknown => !response.destroyed && response.write('x'.repeat(65_536), () => setImmediate(more));
        return more();
      }
      case 'silence':
        return undefined;
    }
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const server: JwksServer = {
    uri: `http://127.0.0.1:${port}/jwks`,
    requests: 0,
    keys,
    fault: 'none',
    stop: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return server;
}
