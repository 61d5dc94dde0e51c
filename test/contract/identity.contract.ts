import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import type { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Authenticator, Principal } from '../../src/substrate/identity/identity.port.js';
import type { RecordedTelemetry } from '../support/telemetry.js';

/** One kind of credentials. Each is made valid from `notBeforeMs` to `expiresMs`, for one actor with the role `reader`. */
export interface CredentialKind {
  readonly authenticator: Authenticator;
  readonly clock: ManualClock;
  readonly telemetry: RecordedTelemetry;
  readonly good: string;
  readonly notBeforeMs: number;
  readonly expiresMs: number;
  readonly expected: Principal;
  /** The same credentials with one character of their secret part changed, for each of these places. */
  readonly tampered: readonly string[];
  /** Well-formed credentials of somebody whom the policy does not know. */
  readonly stranger: string;
  /** Parts that no error and no log may show. */
  readonly secrets: readonly string[];
  close(): Promise<void>;
}

/** What holds for whatever credentials are shown. */
export function identityContract(name: string, open: () => Promise<CredentialKind>): void {
  describe(`identity contract: ${name}`, () => {
    let kind: CredentialKind;
    beforeAll(async () => {
      kind = await open();
    });
    afterAll(() => kind.close());

    const at = async (nowMs: number) => {
      kind.clock.stepWall(nowMs - kind.clock.nowMs());
      await Promise.resolve();
    };
    const authenticate = (authorization?: string) =>
      kind.authenticator.authenticate(authorization === undefined ? {} : { authorization });
    const refusal = async (authorization: string): Promise<unknown> => {
      try {
        return await authenticate(authorization);
      } catch (error) {
        if (!isProbityError(error)) throw error;
        return { code: error.code, message: error.message, data: error.data, cause: error.cause };
      }
    };
    /** The one answer to all that is not good: nothing in it says what was wrong. */
    const REFUSED = {
      code: 'AUTHN_FAILED',
      message: 'AUTHN_FAILED: the credentials were not accepted',
      data: {},
      cause: undefined,
    };

    it('finds the actor and the roles', async () => {
      await at(kind.notBeforeMs);
      expect(await authenticate(`Bearer ${kind.good}`)).toEqual(kind.expected);
      expect(await authenticate(`bearer ${kind.good}`)).toEqual(kind.expected);
    });

    it('takes who shows nothing for ANONYMOUS, with the roles that the policy gives', async () => {
      expect(await authenticate()).toEqual({
        actor: { actor_id: 'ANONYMOUS', source_type: 'ANONYMOUS', auth_mode: 'NONE' },
        keyId: 'anonymous',
        roles: ['visitor'],
      });
    });

    it('refuses what is not yet valid, up to the last moment', async () => {
      await at(kind.notBeforeMs - 1);
      expect(await refusal(`Bearer ${kind.good}`)).toEqual(REFUSED);
      await at(kind.notBeforeMs);
      expect(await refusal(`Bearer ${kind.good}`)).toEqual(kind.expected);
    });

    it('refuses what has expired, from the first moment', async () => {
      await at(kind.expiresMs - 1);
      expect(await refusal(`Bearer ${kind.good}`)).toEqual(kind.expected);
      await at(kind.expiresMs);
      expect(await refusal(`Bearer ${kind.good}`)).toEqual(REFUSED);
    });

    it('refuses whatever was tampered with', async () => {
      await at(kind.notBeforeMs);
      expect(kind.tampered.length).toBeGreaterThan(0);
      for (const tampered of kind.tampered) expect(await refusal(`Bearer ${tampered}`)).toEqual(REFUSED);
    });

    it('refuses strangers', async () => {
      await at(kind.notBeforeMs);
      expect(await refusal(`Bearer ${kind.stranger}`)).toEqual(REFUSED);
    });

    it('refuses headers that are no Bearer credentials', async () => {
      const headers = [
        '',
        'Bearer',
        'Bearer ',
        `Basic ${kind.good}`,
        kind.good,
        `Bearer  ${kind.good}`,
        `Bearer ${kind.good} `,
      ];
      const odd = [
        `Bearer ${kind.good},${kind.good}`,
        `Bearer ${kind.good}\n`,
        'Bearer pk_',
        'Bearer a.b.c',
        `Bearer ${'x'.repeat(100_000)}`,
      ];
      for (const header of [...headers, ...odd]) expect(await refusal(header)).toEqual(REFUSED);
    });

    it('says the reason to the operator, and a secret to nobody', async () => {
      await at(kind.expiresMs);
      const before = kind.telemetry.lines().length;
      const refused = await refusal(`Bearer ${kind.good}`);
      const [line] = kind.telemetry.lines().slice(before);
      expect(line).toMatchObject({ event: 'authentication_refused', reason: expect.stringMatching(/_expired$/) });
      for (const secret of kind.secrets) {
        expect(JSON.stringify(refused)).not.toContain(secret);
        expect(kind.telemetry.text()).not.toContain(secret);
      }
    });
  });
}
