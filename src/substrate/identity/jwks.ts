import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, type LocalJWKSet } from 'jose';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../clock/clock.port.js';
import { deadline, endsWith } from '../clock/deadline.js';
import type { Logger } from '../telemetry/telemetry.port.js';

export interface RemoteJwksOptions {
  /** Keys younger than this are used without asking. */
  readonly freshMs: number;
  /** Between two fetches at least this long: tokens with made-up key ids must not become requests to the issuer. */
  readonly coolDownMs: number;
  /** The same after a fetch that failed: shorter, for until it succeeds nobody may come in. */
  readonly coolDownAfterFailureMs: number;
  /** While the issuer is down, its last keys are trusted this long; a withdrawn key must not live for ever. */
  readonly staleMaxMs: number;
  readonly timeoutMs: number;
  /** Largest answer that is read, in bytes. */
  readonly bytesMax: number;
}

export const JWKS_DEFAULTS: RemoteJwksOptions = {
  freshMs: 10 * 60_000,
  coolDownMs: 30_000,
  coolDownAfterFailureMs: 1_000,
  staleMaxMs: 24 * 3_600_000,
  timeoutMs: 3_000,
  bytesMax: 1_048_576,
};

interface KeySet {
  readonly keys: LocalJWKSet;
  readonly fetchedAtMs: number;
}

/**
 * The keys of one issuer, fetched when first needed and kept. The states of an instance:
 *
 * - NONE: no keys yet. A token makes it fetch; while that fails, nobody can tell whether the token is good.
 * - FRESH (younger than freshMs): keys are used without asking. A key id that they lack is a rotation or an invention:
 *   one fetch per coolDownMs finds out.
 * - STALE (up to staleMaxMs): a token makes it fetch; if that fails the old keys go on, and the next try waits for
 *   coolDownAfterFailureMs, so that a dead issuer slows down one call in a while and not each.
 * - past staleMaxMs: as NONE.
 *
 * One fetch at a time; whoever needs it meanwhile waits for the same one. Time is the injected clock's, which is why this
 * is not jose's remote set: that one reads the machine's clock, does not cool down after failures and drops its keys
 * when they are old and the issuer is down.
 */
export class RemoteJwks {
  #set: KeySet | undefined;
  #triedAtMs = -Infinity;
  #lastTryFailed = false;
  #fetching: Promise<void> | undefined;

  constructor(
    private readonly uri: string,
    private readonly issuerName: string,
    private readonly options: RemoteJwksOptions,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** Finds the key of a token's header. @throws JWKSNoMatchingKey of jose, or ProbityError AUTHN_UNAVAILABLE */
  readonly keyFor: JWTVerifyGetKey = async (header, token) => {
    if (!this.#isYoungerThan(this.options.freshMs)) await this.#refresh();
    const set = this.#usable();
    try {
      return await set.keys(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#refresh();
      // The issuer did not answer: it may or may not have made this key, and "bad credentials" would be a guess.
      if (this.#lastTryFailed) throw unavailable();
      return this.#usable().keys(header, token);
    }
  };

  #usable(): KeySet {
    if (this.#set !== undefined && this.#isYoungerThan(this.options.staleMaxMs)) return this.#set;
    throw unavailable();
  }

  #isYoungerThan(ageMs: number): boolean {
    return this.#set !== undefined && this.clock.monotonicMs() - this.#set.fetchedAtMs < ageMs;
  }

  async #refresh(): Promise<void> {
    if (this.#fetching === undefined) {
      const coolDownMs = this.#lastTryFailed ? this.options.coolDownAfterFailureMs : this.options.coolDownMs;
      if (this.clock.monotonicMs() - this.#triedAtMs < coolDownMs) return;
      this.#triedAtMs = this.clock.monotonicMs();
      this.#fetching = this.#fetch().finally(() => (this.#fetching = undefined));
    }
    await this.#fetching;
  }

  /** Never rejects: what a failure means depends on the keys that are still there. */
  async #fetch(): Promise<void> {
    const limit = deadline(this.clock, this.clock.monotonicMs() + this.options.timeoutMs);
    try {
      const jwks = await endsWith(limit.signal, fetchJwks(this.uri, this.options.bytesMax, limit.signal));
      this.#set = { keys: createLocalJWKSet(jwks), fetchedAtMs: this.clock.monotonicMs() };
      this.#lastTryFailed = false;
    } catch (error) {
      this.#lastTryFailed = true;
      this.logger.warn('jwks_fetch_failed', { issuer_name: this.issuerName, error });
    } finally {
      limit.dispose();
    }
  }
}

async function fetchJwks(uri: string, bytesMax: number, signal: AbortSignal): Promise<JSONWebKeySet> {
  // A redirect could lead from the https address of the policy to a plain one.
  const response = await fetch(uri, { signal, redirect: 'error', headers: { accept: 'application/json' } });
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    throw new Error(`the issuer answered ${response.status}`);
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  // Node types a body's pieces as any; they are bytes.
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    size += piece.byteLength;
    if (size > bytesMax) throw new Error(`the issuer's answer is larger than ${bytesMax} bytes`);
    pieces.push(piece);
  }
  // createLocalJWKSet checks the form, so the cast promises nothing that is not looked at.
  return JSON.parse(Buffer.concat(pieces).toString('utf8')) as JSONWebKeySet;
}

function unavailable(): ProbityError {
  return new ProbityError('AUTHN_UNAVAILABLE', 'the keys of the token’s issuer cannot be fetched at this time');
}
