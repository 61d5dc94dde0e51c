import { Injectable } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import type { Actor } from '../../rails/actor.js';
import { digestCanonical, inOrder } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { judge } from '../../rails/idempotency.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { Transaction } from '../../substrate/database/database.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { entriesOf, goneOn, identityOf } from './case.core.js';
import type { BulkAnswer, BulkFinding, Case, Command } from './case.schema.js';
import { CaseLabels } from './case-labels.job.js';
import { CASES_POLICY } from './case-workbench.policy.js';
import { demandPerson } from './case-workbench.service.js';
import { type Added, CaseWorkbenchStore, type Wish } from './case-workbench.store.js';

export interface BulkDone {
  readonly outcome: 'NEW' | 'DUPLICATE';
  readonly results: readonly BulkAnswer[];
}

/**
 * One finding about many cases: one transaction of as many statements as for one case. Each case is judged by itself, under a key of its own
 * that follows from the key of the whole; what was answered is kept with it, so that whoever asks again is answered the same.
 */
@Injectable()
export class BulkFindings {
  readonly #findings: Counter;

  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly labels: CaseLabels,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#findings = telemetry.meter.createCounter('cases.bulk.findings', {
      description: 'Cases of bulk findings, by outcome and code',
    });
  }

  /** @throws CASE_PERSON_NEEDED, CASE_IDEMPOTENCY_CONFLICT */
  async decide(asked: BulkFinding, actor: Actor): Promise<BulkDone> {
    demandPerson(actor);
    const content = digestCanonical(inOrder(asked));
    const { idempotency_key: key } = asked;
    const now = fromEpochMs(this.clock.nowMs());
    const done = await this.store.database.transaction(async (transaction): Promise<BulkDone> => {
      await transaction.query('select pg_advisory_xact_lock(hashtextextended($1, 1))', [`${actor.actor_id} ${key}`]);
      const before = await standing(transaction, actor, key);
      if (judge(before?.content, content) === 'CONFLICT')
        throw new ProbityError('CASE_IDEMPOTENCY_CONFLICT', 'something else was asked for under this key');
      if (before !== undefined) return { outcome: 'DUPLICATE', results: before.answers };
      const results = await this.#decided(transaction, asked, actor, now);
      await transaction.query(
        `insert into bulk_findings (actor_id, idempotency_key, content, answers, recorded_at) values ($1, $2, $3, $4::jsonb, $5)`,
        [actor.actor_id, key, content, JSON.stringify(results), now],
      );
      return { outcome: 'NEW', results };
    });
    if (done.outcome === 'NEW') this.#told(asked, done.results, actor);
    return done;
  }

  async #decided(
    transaction: Transaction,
    { cases, disposition, reason, idempotency_key }: BulkFinding,
    actor: Actor,
    now: UtcMicros,
  ): Promise<readonly BulkAnswer[]> {
    const command: Command = { type: 'SET_DISPOSITION', disposition, reason };
    // Of the person's own: two people with the same key do not meet in a case.
    const key = `bulk:${digestCanonical({ actor: actor.actor_id, key: idempotency_key })}`;
    const { body: policy, policy_rev: policyRev } = this.policies.inForce(CASES_POLICY);
    const known = await this.store.findAll(
      cases.map(({ case_id }) => case_id),
      transaction,
    );
    const wishes = cases.map(({ case_id, expected_seq }): Wish | null => {
      const found = known.get(case_id);
      if (found === undefined) return null;
      const entries = (standing: Case | null): ReturnType<Wish['entries']> => {
        if (standing === null) throw new TypeError('a case is never taken away');
        const supersedes = standing.label.label_id;
        return (
          goneOn(standing, expected_seq) ?? entriesOf(standing, command, { actor, key, policy, policyRev, supersedes })
        );
      };
      const { pins, subject_event_id } = found;
      return { subject: { case_id, pins, subject_event_id }, identity: identityOf(case_id, command, key), entries };
    });
    const judged = wishes.filter((wish) => wish !== null);
    const added = new Map<Wish, Added>();
    (judged.length === 0 ? [] : await this.store.append(transaction, judged, now)).forEach((one, at) => {
      const wish = judged[at];
      if (wish !== undefined) added.set(wish, one);
    });
    return cases.map(({ case_id }, at) => answerOf(case_id, wishes[at] ?? null, added));
  }

  #told({ disposition }: BulkFinding, results: readonly BulkAnswer[], actor: Actor): void {
    for (const result of results)
      this.#findings.add(1, { outcome: result.outcome, code: result.outcome === 'REFUSED' ? result.code : '' });
    const done = results.filter(({ outcome }) => outcome === 'DONE').length;
    this.telemetry.logger.info('case_bulk_finding', {
      ...{ disposition, cases: results.length, done, actor: actor.actor_id },
    });
    if (done > 0) this.labels.wake();
  }
}

function answerOf(case_id: BulkAnswer['case_id'], wish: Wish | null, added: ReadonlyMap<Wish, Added>): BulkAnswer {
  const refused = (code: string, detail: string): BulkAnswer => ({ case_id, outcome: 'REFUSED', code, detail });
  const result = wish === null ? undefined : added.get(wish);
  if (wish === null || result === undefined) return refused('CASE_NOT_FOUND', 'no case has this id');
  if (result.outcome === 'REFUSED') return refused(result.refusal.code, result.refusal.detail);
  if (result.outcome === 'CONFLICT')
    return refused('CASE_IDEMPOTENCY_CONFLICT', 'something else was asked for under this key');
  return { case_id, outcome: 'DONE', case_event_id: wish.identity.case_event_id };
}

async function standing(
  transaction: Transaction,
  { actor_id }: Actor,
  key: string,
): Promise<{ readonly content: Digest; readonly answers: readonly BulkAnswer[] } | undefined> {
  const { rows } = await transaction.query<{ content: Digest; answers: readonly BulkAnswer[] }>(
    'select content, answers from bulk_findings where actor_id = $1 and idempotency_key = $2',
    [actor_id, key],
  );
  return rows[0];
}
