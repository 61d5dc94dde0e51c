import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { Type } from '@sinclair/typebox';
import { JobKinds, type JobKind, type JobWork } from '../../src/modules/run-operate/jobs/job-kind.js';
import { JobRunner, readReceipt } from '../../src/modules/run-operate/jobs/job.runner.js';
import { JobSchedule } from '../../src/modules/run-operate/jobs/job.schedule.js';
import type { JobState } from '../../src/modules/run-operate/jobs/job.schema.js';
import { JobStore, leaseName } from '../../src/modules/run-operate/jobs/job.store.js';
import { JOBS_POLICY, type JobsPolicy } from '../../src/modules/run-operate/jobs/jobs.policy.js';
import { JobsService } from '../../src/modules/run-operate/jobs/jobs.service.js';
import { GovernanceFacts } from '../../src/modules/run-operate/governance-facts.js';
import { OperationFacts, type Told } from '../../src/modules/run-operate/operation-facts.js';
import { Leases } from '../../src/modules/run-operate/leases.js';
import type { JsonObject } from '../../src/rails/canonical-json.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type GovernanceFact, GovernanceFactSchema } from '../../src/rails/events/governance-fact.schema.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { Ref } from '../../src/rails/ref.js';
import { closed } from '../../src/rails/schema.js';
import { validatorOf } from '../../src/rails/validator.js';
import { About } from '../../src/substrate/about.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { eventually } from '../support/eventually.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { ANALYST } from './label-store.kit.js';
import type { ShadowGround } from './offline-feature-shadow.kit.js';

const OTHER = { ...ANALYST, actor_id: 'HUMAN::somebody-else' } as typeof ANALYST;

/** A kind that counts how often it ran, and does what the test says. */
class Counting implements JobKind {
  readonly kind = 'counting';
  readonly summary = 'Counts.';
  readonly scope = closed({ by: Type.Integer({ minimum: 1 }) });
  ran = 0;
  does: (work: JobWork) => Promise<void> = () => Promise.resolve();

  async run({ by }: JsonObject, work: JobWork): Promise<JsonObject> {
    this.ran += 1;
    await this.does(work);
    return { counted: by as number };
  }

  tells({ counted }: JsonObject): readonly Told[] {
    return [{ kind: 'ARCHIVE_VERIFIED', subject: 'counted', reason: 'it was', detail: { count: counted as number } }];
  }

  verify(_: JsonObject, { counted }: JsonObject): Promise<JsonObject> {
    return Promise.resolve({ seen: counted as number });
  }
}

/** Declared work over a database and a store of objects. */
export function jobsSuite(open: () => ShadowGround): void {
  let ground: ShadowGround;
  let clock: ManualClock;
  let kind: Counting;
  let opId: string;

  beforeEach(async () => {
    ground = open();
    clock = new ManualClock();
    kind = new Counting();
    opId = `op-${randomUUID()}`;
    // What earlier tests left open is nobody's business here.
    for (const state of ['ABORTED'])
      await ground.database('gov').query(
        `insert into job_states (op_id, seq, state, detail, actor, at)
         select op_id, max(seq) + 1, $1, '{}', '{}', now() from job_states group by op_id
         having not bool_or(state in ('COMPLETED', 'FAILED', 'ABORTED'))`,
        [state],
      );
  });

  function life(policy: Partial<JobsPolicy> = {}) {
    const database = ground.database('gov');
    const { telemetry, lines } = recordedTelemetry();
    const body = { schedules: [], approved: [], ...policy } as unknown as JsonObject;
    const policies = new StaticPolicies(new Map([[JOBS_POLICY.policy_id, sealPolicy('ops.jobs', 1, body)]]));
    const about = new About('1.0.0', 'test', 1);
    const store = new JobStore(database, new OperationFacts(new GovernanceFacts(), about), clock);
    const kinds = new JobKinds([kind]);
    const leases = new Leases(database, about);
    const runner = new JobRunner(store, kinds, leases, ground.objects, policies, clock, telemetry, about);
    const service = new JobsService(store, kinds, runner, policies);
    const schedule = new JobSchedule(service, policies, clock, telemetry);
    const declare = (change = {}, actor = ANALYST) =>
      service.declare({ op_id: opId, kind: 'counting', scope: { by: 3 }, purpose: 'a test', ...change }, actor);
    const states = async (): Promise<readonly JobState[]> => (await store.steps(opId)).map(({ state }) => state);
    return { store, leases, runner, service, schedule, declare, states, lines };
  }
  const factsOf = async (): Promise<readonly GovernanceFact[]> => {
    const { rows } = await ground
      .database('gov')
      .query<{ fact: GovernanceFact }>('select fact from facts where op_id = $1 order by number', [opId]);
    for (const { fact } of rows)
      expect(validatorOf(GovernanceFactSchema, 'the fact').check(fact)).toMatchObject({ ok: true });
    return rows.map(({ fact }) => fact);
  };
  const expired = async (): Promise<void> => {
    await ground.database('gov').query(`update leases set expires_at = '-infinity' where name = $1`, [leaseName(opId)]);
  };

  it('a job that was declared runs once, step by step, and leaves a receipt that says for whom, why and what', async () => {
    const one = life();
    expect(await one.declare()).toMatchObject({ outcome: 'ACCEPTED', job: { state: 'DECLARED' } });
    expect(await one.declare()).toMatchObject({ outcome: 'DUPLICATE' });
    expect(await one.runner.round()).toBe(1);
    expect(await one.runner.round()).toBe(0);
    expect(kind.ran).toBe(1);
    expect(await one.states()).toEqual(['DECLARED', 'RUNNING', 'VERIFYING', 'COMPLETED']);
    const { detail } = await one.service.status(opId);
    const receipt = await readReceipt(ground.objects, detail.receipt as Ref);
    expect(receipt).toMatchObject({
      ...{ op_id: opId, kind: 'counting', scope: { by: 3 }, purpose: 'a test', declared_by: ANALYST },
      ...{ outcome: 'COMPLETED', outputs: { counted: 3 }, verified: { seen: 3 } },
    });
    expect(await one.declare()).toMatchObject({ outcome: 'DUPLICATE', job: { state: 'COMPLETED' } });
    // Each step is a fact, in its transaction.
    expect(await factsOf()).toMatchObject([
      { kind: 'JOB_DECLARED', actor: ANALYST, reason: 'a test', subject: opId },
      { kind: 'JOB_STARTED', actor: { actor_id: 'SYSTEM::ops' } },
      { kind: 'JOB_COMPLETED', evidence: [detail.receipt] },
      { kind: 'ARCHIVE_VERIFIED', subject: 'counted', detail: { count: 3 } },
    ]);
    await ground.tamper((detail.receipt as Ref).locator, { how: 'flip', offset: 5 });
    await expect(readReceipt(ground.objects, detail.receipt as Ref)).rejects.toMatchObject({
      code: 'OPS_RECEIPT_TAMPERED',
    });
  });

  it('what is not declared in full is refused, and another intent under one op_id is a conflict', async () => {
    const one = life();
    await expect(one.declare({ kind: 'rewriting_truth' })).rejects.toMatchObject({ code: 'OPS_JOB_INVALID' });
    for (const scope of [{}, { by: 0 }, { by: 1, more: true }])
      await expect(one.declare({ scope })).rejects.toMatchObject({ code: 'OPS_JOB_INVALID' });
    await expect(one.service.status(opId)).rejects.toMatchObject({ code: 'OPS_JOB_NOT_FOUND' });
    await one.declare();
    await expect(one.declare({ purpose: 'another' })).rejects.toMatchObject({ code: 'OPS_JOB_CONFLICT' });
  });

  it('of processes that look at once, one runs it', async () => {
    await life().declare();
    const done = await Promise.all([life(), life(), life()].map(({ runner }) => runner.round()));
    expect(done.reduce((sum, count) => sum + count, 0)).toBe(1);
    expect(kind.ran).toBe(1);
  });

  describe('a process that dies', () => {
    it('before the receipt: the next one does it again', async () => {
      const one = life();
      await one.declare();
      kind.does = () => Promise.reject(new Error('killed'));
      expect(await one.runner.round()).toBe(0);
      expect(await one.states()).toEqual(['DECLARED', 'RUNNING']);
      kind.does = () => Promise.resolve();
      expect(await life().runner.round()).toBe(1);
      expect(kind.ran).toBe(2);
      expect(await one.states()).toEqual(['DECLARED', 'RUNNING', 'VERIFYING', 'COMPLETED']);
    });

    it('behind the receipt: the next one writes the last step, and does nothing again', async () => {
      const one = life();
      await one.declare();
      const advance = one.store.advance.bind(one.store);
      one.store.advance = (id, lease, to, ...rest) =>
        to === 'COMPLETED' ? Promise.reject(new Error('killed')) : advance(id, lease, to, ...rest);
      expect(await one.runner.round()).toBe(0);
      await clock.advance(60_000);
      expect(await life().runner.round()).toBe(1);
      expect(kind.ran).toBe(1);
      expect((await one.states()).at(-1)).toBe('COMPLETED');
    });

    it('slowly: whoever lost the lease writes nothing any more', async () => {
      const slow = life();
      await slow.declare();
      let goOn = (): void => undefined;
      kind.does = () => new Promise<void>((resolve) => (goOn = resolve));
      const working = slow.runner.round();
      await eventually(
        () => kind.ran,
        (ran) => ran === 1,
        10_000,
      );
      await expired();
      kind.does = () => Promise.resolve();
      expect(await life().runner.round()).toBe(1);
      goOn();
      expect(await working).toBe(0);
      expect(await slow.states()).toEqual(['DECLARED', 'RUNNING', 'VERIFYING', 'COMPLETED']);
    });
  });

  it('a fault for good is a FAILED job with a receipt; one that may pass is tried again', async () => {
    const one = life();
    await one.declare();
    kind.does = () => Promise.reject(new ProbityError('BUS_UNAVAILABLE', 'away'));
    expect(await one.runner.round()).toBe(0);
    kind.does = () => Promise.reject(new ProbityError('OPS_ARCHIVE_GAP', 'offset 7 is missing'));
    expect(await one.runner.round()).toBe(1);
    const { state, detail } = await one.service.status(opId);
    expect({ state, detail }).toMatchObject({ state: 'FAILED', detail: { code: 'OPS_ARCHIVE_GAP' } });
    expect(await readReceipt(ground.objects, detail.receipt as Ref)).toMatchObject({
      ...{ outcome: 'FAILED', outputs: null, verified: null },
      fault: { code: 'OPS_ARCHIVE_GAP', says: 'offset 7 is missing' },
    });
  });

  it('one that cannot go on does not hold up those behind it', async () => {
    const one = life();
    await one.declare();
    const first = opId;
    opId = `op-${randomUUID()}`;
    await one.declare();
    kind.does = ({ opId: now }) =>
      now === first ? Promise.reject(new ProbityError('BUS_UNAVAILABLE', 'away')) : Promise.resolve();
    expect(await one.runner.round()).toBe(1);
    expect((await one.states()).at(-1)).toBe('COMPLETED');
  });

  it('a job that is cancelled while it runs is told so, and ends as ABORTED', async () => {
    const one = life();
    await one.declare();
    kind.does = ({ signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended')), { once: true }));
    const working = one.runner.round();
    await eventually(
      () => kind.ran,
      (ran) => ran === 1,
      10_000,
    );
    expect(await one.service.cancel(opId, OTHER)).toMatchObject({ state: 'ABORTED' });
    await eventually(
      async () => {
        await clock.advance(5_000);
        return await Promise.race([working, Promise.resolve('still')]);
      },
      (answer) => answer === 0,
      10_000,
    );
    expect(await one.states()).toEqual(['DECLARED', 'RUNNING', 'ABORTED']);
    await expect(one.service.cancel(opId, OTHER)).rejects.toMatchObject({ code: 'OPS_JOB_STATE' });
  });

  it('where the policy says so it waits for somebody else', async () => {
    const one = life({ approved: ['counting'] });
    await one.declare();
    expect(await one.runner.round()).toBe(0);
    await expect(one.service.approve(opId, ANALYST)).rejects.toMatchObject({ code: 'OPS_JOB_APPROVER' });
    await one.service.approve(opId, OTHER);
    expect(await one.runner.round()).toBe(1);
    expect(await one.states()).toEqual(['DECLARED', 'APPROVED', 'RUNNING', 'VERIFYING', 'COMPLETED']);
    const steps = await one.store.steps(opId);
    expect(steps.map(({ actor }) => actor.actor_id).slice(0, 3)).toEqual([
      ANALYST.actor_id,
      OTHER.actor_id,
      'SYSTEM::ops',
    ]);
  });

  it('a slot of a schedule is one job, whoever looks; the next slot is another', async () => {
    const schedule = {
      ...{ name: `every-${randomUUID().slice(0, 8)}`, kind: 'counting', every_s: 60 },
      ...{ scope: { by: 1 }, purpose: 'by the clock' },
    };
    const broken = { ...schedule, name: `broken-${randomUUID().slice(0, 8)}`, scope: {} };
    const lives = [1, 2, 3].map(() => life({ schedules: [broken, schedule] as never }));
    const looked = async (): Promise<number> =>
      (await Promise.all(lives.map((one) => one.schedule.round()))).reduce((sum, count) => sum + count, 0);
    expect(await looked()).toBe(1);
    expect(await looked()).toBe(0);
    // A process that starts within the slot finds it declared.
    expect(await life({ schedules: [schedule] as never }).schedule.round()).toBe(0);
    for (const one of lives) while ((await one.runner.round()) > 0);
    expect(kind.ran).toBe(1);
    await clock.advance(60_000);
    expect(await looked()).toBe(1);
    expect(lives[0]?.lines().some((line) => JSON.stringify(line).includes('ops_schedule_refused'))).toBe(true);
  });

  it('a slot that could not be declared is tried again, and not passed by', async () => {
    const name = `late-${randomUUID().slice(0, 8)}`;
    const schedule = { name, kind: 'counting', every_s: 60, scope: { by: 1 }, purpose: 'by the clock' };
    const one = life({ schedules: [schedule] as never });
    const declare = one.service.declare.bind(one.service);
    one.service.declare = () => Promise.reject(new ProbityError('DATABASE_UNAVAILABLE', 'away'));
    expect(await one.schedule.round()).toBe(0);
    one.service.declare = declare;
    expect(await one.schedule.round()).toBe(1);
  });

  it('declarations and steps are append-only, also for who owns the schema', async () => {
    await life().declare();
    for (const table of ['jobs', 'job_states'])
      for (const text of [`update ${table} set op_id = 'x'`, `delete from ${table}`, `truncate ${table} cascade`])
        await expect(ground.database('gov').query(text)).rejects.toMatchObject({
          code: expect.stringMatching(/^DATABASE_/),
        });
  });
}
