import { Inject, Injectable, Optional } from '@nestjs/common';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Secrets } from '../../../substrate/secrets/secrets.port.js';
import { webhookHeaders, webhookKey } from '../../../substrate/signing/standard-webhooks.js';
import { type Resolve, systemResolve } from './address-guard.js';
import { type Answer, type AttemptEnd, endOf, foundOf } from './attempt.core.js';
import { resolved, type Target, urlFaults } from './targets.schema.js';
import { WebhookClient } from './webhook.client.js';
import { webhookBody } from './webhook.core.js';
import type { Work } from './work.store.js';

/** How names become addresses; a test has its own. */
export const RESOLVE = Symbol('resolve');

/** How an attempt ended; `wasAbsent`: the target was asked and knew nothing of earlier ones. */
export type CallEnd = AttemptEnd & { readonly wasAbsent: boolean };

/** Speaks to a target about one effect: asks first where an earlier attempt is in doubt and the target can be asked, then sends. */
@Injectable()
export class TargetCaller {
  readonly #client: WebhookClient;

  constructor(
    private readonly secrets: Secrets,
    private readonly clock: Clock,
    @Optional() @Inject(RESOLVE) resolve: Resolve = systemResolve,
  ) {
    this.#client = new WebhookClient(clock, resolve);
  }

  close(): void {
    this.#client.close();
  }

  /** @throws CONFIG_SECRET_MISSING, CONFIG_INVALID when the target's address or secret cannot be used */
  check(name: string, target: Target): void {
    try {
      this.#key(target);
      this.#url(target, 'url');
      if (target.status_url !== undefined) this.#url(target, 'status_url');
    } catch (error) {
      if (error instanceof ProbityError)
        throw new ProbityError(error.code, `target "${name}" of the policy al.actions: ${error.detail}`);
      throw error;
    }
  }

  async attempt(target: Target, work: Work): Promise<CallEnd> {
    const { attemptNo, ambiguous } = work;
    let wasAbsent = false;
    try {
      if (ambiguous && target.status_url !== undefined) {
        const found = foundOf(await this.#ask(target, work));
        if (found === 'done')
          return { step: 'COMMITTED', reason: 'FOUND_BY_STATUS', final: true, reached: true, wasAbsent };
        if (found === 'unknown')
          return { step: 'UNKNOWN', reason: 'UNCERTAIN_COMMIT', final: false, reached: false, wasAbsent };
        wasAbsent = true;
      }
      // An attempt beyond the last one is there to ask, or to find out that nobody can be asked.
      if (attemptNo > target.retry.attempts_max)
        return { step: 'NOT_COMMITTED', reason: 'RETRIES_EXHAUSTED', final: true, reached: true, wasAbsent };
      return { ...endOf(await this.#send(target, work), this.clock.nowMs()), wasAbsent };
    } catch (error) {
      // A secret that is gone since the start: nothing has left.
      if (!(error instanceof ProbityError)) throw error;
      return { step: 'NOT_COMMITTED', reason: 'DEPENDENCY_DOWN', final: false, reached: true, wasAbsent };
    }
  }

  async #send(target: Target, { taken }: Work): Promise<Answer> {
    const body = webhookBody(taken);
    return await this.#client.send({
      method: 'POST',
      url: this.#url(target, 'url'),
      headers: this.#headers(target, taken.intent.idempotency_key, body),
      body,
      timeoutMs: target.timeout_ms,
      allowPrivate: target.allow_private,
    });
  }

  async #ask(target: Target, { taken }: Work): Promise<Answer> {
    const key = taken.intent.idempotency_key;
    return await this.#client.send({
      method: 'GET',
      url: this.#url(target, 'status_url', key),
      // The signature is that of an empty body: who asks is as sure as who sends.
      headers: this.#headers(target, key, ''),
      timeoutMs: target.timeout_ms,
      allowPrivate: target.allow_private,
    });
  }

  #headers(target: Target, id: string, body: string): Readonly<Record<string, string>> {
    return webhookHeaders(id, Math.floor(this.clock.nowMs() / 1_000), body, this.#key(target));
  }

  #key(target: Target): Buffer {
    const key = webhookKey(this.secrets.read(target.secret));
    if (key === null)
      throw new ProbityError('CONFIG_INVALID', 'its secret is not whsec_ followed by 24 to 64 bytes in base64');
    return key;
  }

  #url(target: Target, field: 'url' | 'status_url', key = ''): URL {
    const text = resolved(target[field] ?? '', (ref) => this.secrets.read(ref));
    const [fault] = urlFaults(text, target, field);
    if (fault !== undefined) throw new ProbityError('CONFIG_INVALID', `its ${field}: ${fault}`);
    return new URL(text.replaceAll('{key}', encodeURIComponent(key)));
  }
}
