import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { defineUnits, policyKindsOf } from '../../src/app/unit-table.js';
import {
  DATA_ENGINE_CONTRACT,
  DataEnginePort,
  type Invocation,
  type Preview,
  type SealStatus,
  worldPinsOf,
} from '../../src/modules/data-engine/data-engine.port.js';
import { ADMISSION_POLICY } from '../../src/modules/ingestion-gate/ingestion-gate.policy.js';
import { EDGES_POLICY } from '../../src/modules/producer-edges/producer-edges.policy.js';
import { ScenarioRunnerModule } from '../../src/modules/scenario-runner/scenario-runner.module.js';
import { RUN_GATES_POLICY } from '../../src/modules/scenario-runner/scenario-runner.policy.js';
import {
  runIdOf,
  type RunFactsView,
  type RunStatus,
  SCENARIO_RUNNER_CONTRACT,
  ScenarioRunnerPort,
} from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { ScenarioRunnerService } from '../../src/modules/scenario-runner/scenario-runner.service.js';
import { STREAM_POLICY } from '../../src/modules/world-stream-producer/world-stream-producer.policy.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { Objects } from '../../src/substrate/objects/objects.port.js';
import { signalsOf } from '../contract/scenario-runner.kit.js';
import { Captured } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { ScratchProfile } from '../support/profiles.js';
import { BASELINE, labelRows, putWorld, trafficRows } from '../support/world-builder.js';

/** An engine that makes a small world at its second question, so that the run is seen executing. */
@Injectable()
class SmallEngine extends DataEnginePort {
  readonly #asked = new Set<string>();

  constructor(private readonly objects: Objects) {
    super();
  }

  async seal({ invocation }: { readonly invocation: Invocation }): Promise<SealStatus> {
    const pins = worldPinsOf(invocation);
    if (!this.#asked.has(pins.manifest_fingerprint)) {
      this.#asked.add(pins.manifest_fingerprint);
      return { state: 'RUNNING', pins, stage: 'reading', rows_done: 0 };
    }
    const rows = trafficRows(12);
    const { sealRef } = await putWorld(this.objects, { rows, labels: labelRows(rows), invocation });
    return { state: 'SEALED_OK', pins, stage: 'sealed', rows_done: rows.length, seal: sealRef };
  }

  preview(): Promise<Preview> {
    return Promise.reject(new ProbityError('INTERNAL', 'nobody previews here'));
  }
}

@Module({ providers: [SmallEngine], exports: [SmallEngine] })
class SmallEngineModule {}

const TABLE = defineUnits(
  { 'fp.bus.control.v1': { why: 'Control facts', recordBytesMax: 1024 * 1024 } },
  {
    engine: {
      unit: 'data-engine',
      kind: 'job',
      why: 'Makes small worlds.',
      module: SmallEngineModule,
      port: { token: DataEnginePort, service: SmallEngine, contract: DATA_ENGINE_CONTRACT },
      calls: [],
      produces: [],
      prefixes: ['engine/'],
      policies: [ADMISSION_POLICY, EDGES_POLICY, STREAM_POLICY],
      instances: 'many',
    },
    sr: {
      unit: 'scenario-runner',
      kind: 'job',
      why: 'Decides that a pinned world may be used, and proves it.',
      module: ScenarioRunnerModule,
      port: { token: ScenarioRunnerPort, service: ScenarioRunnerService, contract: SCENARIO_RUNNER_CONTRACT },
      calls: ['engine'],
      produces: ['fp.bus.control.v1'],
      schema: 'sr',
      prefixes: ['sr/'],
      policies: [RUN_GATES_POLICY],
      instances: 'many',
    },
  },
);

describe('runs over HTTP, the engine called through the wire', () => {
  const folder = scratchDataFolder('runs');
  const profile = new ScratchProfile();
  let running: Running;
  let operator: Http;

  beforeAll(async () => {
    profile.edit(profile.wiring, 'through_wire: false', 'through_wire: true');
    profile.only(policyKindsOf(TABLE).map(({ policy_id }) => policy_id));
    running = await boot({
      table: TABLE,
      selected: TABLE.units,
      profile: loadProfile(profile.folder, policyKindsOf(TABLE)),
      folder: openDataFolder(folder),
      port: 0,
      logs: new Captured(),
    });
    operator = new Http(running.url, readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim());
  });
  afterAll(async () => {
    expect(await running.stop()).toBe('in order');
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const request = (key: string, more: object = {}): object => ({
    run_equivalence_key: key,
    world: BASELINE,
    strategy: 'AUTO',
    ...more,
  });
  const status = async (runId: string): Promise<RunStatus> =>
    (await operator.get(`/v1/runs/${runId}`)).body as RunStatus;

  it('a run is requested, executes, becomes ready, and shows what it stands on', async () => {
    const accepted = await operator.post('/v1/runs', request('first'));
    expect(accepted.status).toBe(202);
    const { run_id } = accepted.body as RunStatus;
    expect(run_id).toBe(runIdOf('first'));
    const ready = await eventually(
      () => status(run_id),
      ({ state }) => state === 'READY',
      20_000,
    );
    expect(ready).toMatchObject({ kind: 'generate', attempts: 1, pins: { ...worldPinsOf(BASELINE), run_id } });

    const facts = (await operator.get(`/v1/runs/${run_id}/facts`)).body as RunFactsView;
    expect(facts.outputs.map(({ output_id }) => output_id)).toEqual(['transactions', 'labels']);
    expect(facts.traffic).toEqual([{ event_type: 'transaction', schema_version: 'v1', output_id: 'transactions' }]);
    const signals = await eventually(
      () => signalsOf(running.parts.bus, run_id),
      ({ length }) => length > 0,
    );
    expect(signals.map(({ envelope }) => envelope.event_id)).toEqual([ready.message_id]);

    const { events } = (await operator.get(`/v1/runs/${run_id}/record`)).body as {
      events: { seq: number; event: string; data: { requested_by?: string } }[];
    };
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events[0]).toMatchObject({ event: 'RUN_ACCEPTED', data: { requested_by: 'HUMAN::operator' } });
    const again = await operator.post('/v1/runs', request('first'));
    expect([again.status, (again.body as RunStatus).state]).toEqual([202, 'READY']);
  });

  it('says what is wrong with a request, and where', async () => {
    const cases: readonly (readonly [object, number, string, string])[] = [
      [request('bad', { strategy: 'GUESS' }), 400, 'VALUE_INVALID', '/strategy'],
      [request('bad', { world: { ...BASELINE, seed: '-1' } }), 400, 'VALUE_INVALID', 'the world at /seed'],
      [request('bad', { world: { kind: 'dream' } }), 400, 'VALUE_INVALID', '/world'],
      [request('with blank'), 400, 'VALUE_INVALID', '/run_equivalence_key'],
      [request('bad', { colour: 'red' }), 400, 'VALUE_INVALID', 'colour'],
      [request('first', { world: { ...BASELINE, seed: '8' } }), 409, 'SR_EQUIV_KEY_COLLISION', 'another intent'],
      [
        request('bad', { supersedes: { run_id: runIdOf('nobody'), reason: 'r' } }),
        422,
        'SR_SCENARIO_BINDING_INVALID',
        'no run',
      ],
    ];
    for (const [body, code, error, where] of cases) {
      const answer = await operator.post('/v1/runs', body);
      expect([answer.status, (answer.body as { code: string }).code]).toEqual([code, error]);
      expect((answer.body as { detail: string }).detail).toContain(where);
    }
    expect((await operator.get(`/v1/runs/${runIdOf('bad')}`)).body).toMatchObject({ code: 'SR_RUN_NOT_FOUND' });
    expect((await operator.get('/v1/runs/nonsense')).body).toMatchObject({ code: 'VALUE_INVALID' });
  });

  it('pages through the runs, and refuses a page that is none', async () => {
    for (const key of ['page/1', 'page/2', 'page/3']) {
      const world = {
        kind: 'live',
        scenario_id: 'live',
        traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
      };
      const { body } = await operator.post('/v1/runs', request(key, { world }));
      await eventually(
        () => status((body as RunStatus).run_id),
        ({ state }) => state === 'READY',
      );
    }
    const first = (await operator.get('/v1/runs?limit=2&state=READY')).body as {
      runs: RunStatus[];
      next_cursor: string;
    };
    const second = (await operator.get(`/v1/runs?limit=2&cursor=${first.next_cursor}`)).body as { runs: RunStatus[] };
    const keys = [...first.runs, ...second.runs].map(({ run_equivalence_key }) => run_equivalence_key);
    expect(keys).toEqual(['page/3', 'page/2', 'page/1', 'first']);
    for (const query of ['limit=0', 'limit=x', 'state=GONE', 'cursor=AAAA', 'colour=red'])
      expect((await operator.get(`/v1/runs?${query}`)).status).toBe(400);
  });

  it('is closed to whoever may not, and is in the OpenAPI document', async () => {
    const stranger = new Http(running.url);
    for (const path of ['', `/${runIdOf('first')}`, `/${runIdOf('first')}/facts`, `/${runIdOf('first')}/record`])
      expect((await stranger.get(`/v1/runs${path}`)).status).toBe(403);
    expect((await stranger.post('/v1/runs', request('stranger'))).status).toBe(403);
    const service = new Http(running.url, readFileSync(join(folder, 'keys', 'wsp.key'), 'utf8').trim());
    expect((await service.post('/v1/runs', request('service'))).status).toBe(403);
    const document = (await operator.get('/openapi.json')).body as { paths: Record<string, object> };
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/v1/runs', '/v1/runs/{run_id}', '/v1/runs/{run_id}/facts', '/v1/runs/{run_id}/record']),
    );
  });
});
