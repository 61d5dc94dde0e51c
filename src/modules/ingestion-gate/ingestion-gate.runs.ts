import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { isNoWorld, joinable, type RunId } from '../../rails/pins.js';
import { type Ref } from '../../rails/ref.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { type Clock } from '../../substrate/clock/clock.port.js';
import { type Objects } from '../../substrate/objects/objects.port.js';
import { readyKey, requestKey, RunFactsViewSchema, RunReadySchema } from '../scenario-runner/scenario-runner.port.js';
import { gateFault } from './faults.js';
import { admissionIds } from './identity.core.js';
import { type ReadyRun, type RunFacts } from './ingestion-gate.core.js';

/** Runs that are remembered; a fact is some kilobytes. */
const RUNS_KEPT = 1_000;
/** How long it may take until a run that has become ready is noticed. */
const UNREADY_KEPT_MS = 500;

/**
 * What the Scenario Runner's objects say about runs. READY is remembered for as long as there is room, since nothing leaves
 * it; anything else for half a second, so that a producer that tries again and again does not ask the store as often.
 */
export class RunFactsReader {
  readonly #objects: Objects;
  readonly #clock: Clock;
  /** In the order of their last use. */
  readonly #ready = new Map<RunId, ReadyRun>();
  readonly #unready = new Map<RunId, { readonly facts: RunFacts; readonly untilMs: number }>();
  readonly #looking = new Map<RunId, Promise<RunFacts>>();
  readonly #readySchema = validatorOf(RunReadySchema, 'ready.json');
  readonly #viewSchema = validatorOf(RunFactsViewSchema, 'the facts view');

  constructor(objects: Objects, clock: Clock) {
    this.#objects = objects;
    this.#clock = clock;
  }

  /**
   * One look per run, however many events of the batch name it.
   * @throws ProbityError IG_EVIDENCE_STORE_UNHEALTHY: a store that does not answer says nothing about a run
   */
  async facts(runs: ReadonlySet<RunId>): Promise<ReadonlyMap<RunId, RunFacts>> {
    const found = await Promise.all([...runs].map(async (run) => [run, await this.#factsOf(run)] as const));
    return new Map(found);
  }

  #factsOf(run: RunId): RunFacts | Promise<RunFacts> {
    const ready = this.#ready.get(run);
    if (ready !== undefined) {
      this.#remember(run, ready);
      return ready;
    }
    const unready = this.#unready.get(run);
    if (unready !== undefined && this.#clock.monotonicMs() < unready.untilMs) return unready.facts;
    let looking = this.#looking.get(run);
    if (looking === undefined) {
      looking = this.#look(run).finally(() => this.#looking.delete(run));
      this.#looking.set(run, looking);
    }
    return looking;
  }

  async #look(run: RunId): Promise<RunFacts> {
    let facts: RunFacts;
    try {
      facts = await this.#read(run);
    } catch (error) {
      if (!isProbityError(error)) throw error;
      if (!DAMAGE.has(error.code)) throw gateFault(error);
      facts = { state: 'UNREADABLE', detail: `the facts view of the run cannot be read (${error.code})` };
    }
    if (facts.state === 'READY') {
      this.#unready.delete(run);
      this.#remember(run, facts);
    } else {
      if (this.#unready.size >= RUNS_KEPT) this.#unready.clear();
      this.#unready.set(run, { facts, untilMs: this.#clock.monotonicMs() + UNREADY_KEPT_MS });
    }
    return facts;
  }

  async #read(run: RunId): Promise<RunFacts> {
    const readyRef = await this.#objects.head(readyKey(run));
    if (readyRef === null) {
      const requested = await this.#objects.head(requestKey(run));
      return requested === null
        ? { state: 'UNKNOWN', detail: 'no run of this id was ever requested' }
        : { state: 'NOT_READY', detail: 'the run was requested and is not ready' };
    }
    const ready = await this.#readJson(readyRef, this.#readySchema);
    const view = await this.#readJson(ready.facts_view, this.#viewSchema);
    if (ready.pins.run_id !== run || isNoWorld(ready.pins) || !joinable(ready.pins, view.pins))
      return { state: 'UNREADABLE', detail: 'ready.json and the facts view of the run are not of the same pins' };
    return {
      state: 'READY',
      pins: view.pins,
      admissionId: admissionIds(view.pins),
      traffic: view.traffic,
      roles: new Map(view.outputs.map(({ output_id, role }) => [output_id, role])),
    };
  }

  async #readJson<Value>(ref: Ref, schema: Validator<Value>): Promise<Value> {
    const bytes = await this.#objects.read(ref);
    try {
      return schema.demand(JSON.parse(bytes.toString('utf8')));
    } catch (error) {
      if (error instanceof SyntaxError)
        throw new ProbityError('VALUE_INVALID', `${ref.locator} is not JSON`, { data: { key: ref.locator } });
      throw error;
    }
  }

  #remember(run: RunId, facts: ReadyRun): void {
    this.#ready.delete(run);
    this.#ready.set(run, facts);
    if (this.#ready.size > RUNS_KEPT) {
      const [oldest] = this.#ready.keys();
      if (oldest !== undefined) this.#ready.delete(oldest);
    }
  }
}

/** What says that the join surface is damaged or missing, and not that the store is away. */
const DAMAGE: ReadonlySet<string> = new Set([
  'OBJECTS_NOT_FOUND',
  'OBJECTS_DIGEST_MISMATCH',
  'OBJECTS_TOO_LARGE',
  'VALUE_INVALID',
]);
