import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type RunPins } from '../../rails/pins.js';
import { type Ref } from '../../rails/ref.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import {
  readyKey,
  requestKey,
  RunFactsViewSchema,
  runIdOf,
  RunReadySchema,
} from '../scenario-runner/scenario-runner.port.js';

const readies = validatorOf(RunReadySchema, 'the ready record of the run');
const views = validatorOf(RunFactsViewSchema, 'the facts view of the run');

/** The pins of the live runs that edges are bound to, from the facts views, each read once: nothing leaves READY. */
@Injectable()
export class RunBindings {
  readonly #known = new Map<string, RunPins>();

  constructor(private readonly objects: Objects) {}

  /**
   * @throws IG_UNKNOWN_RUN, IG_RUN_NOT_READY, EDGE_RUN_NOT_LIVE; and what a facts view that cannot be trusted ends in:
   * OBJECTS_DIGEST_MISMATCH, VALUE_INVALID
   */
  async pinsOf(equivalenceKey: string): Promise<RunPins> {
    const known = this.#known.get(equivalenceKey);
    if (known !== undefined) return known;
    const pins = await this.#read(equivalenceKey);
    this.#known.set(equivalenceKey, pins);
    return pins;
  }

  async #read(equivalenceKey: string): Promise<RunPins> {
    const runId = runIdOf(equivalenceKey);
    const ready = await this.objects.head(readyKey(runId));
    if (ready === null) throw await this.#missing(equivalenceKey);
    const { facts_view, pins } = await this.#json(ready, readies);
    const view = await this.#json(facts_view, views);
    if (view.kind !== 'live') {
      throw new ProbityError(
        'EDGE_RUN_NOT_LIVE',
        `the run ${JSON.stringify(equivalenceKey)} is of the kind ${view.kind}: its events are sealed, none are pushed into it`,
        { data: { run_id: runId } },
      );
    }
    if (view.pins.run_id !== runId || pins.run_id !== runId) {
      throw new ProbityError('IG_JOIN_SURFACE_MISSING', `the facts view of run ${runId} names another run`);
    }
    return view.pins;
  }

  async #missing(equivalenceKey: string): Promise<ProbityError> {
    const runId = runIdOf(equivalenceKey);
    const asked = await this.objects.head(requestKey(runId));
    const name = JSON.stringify(equivalenceKey);
    return asked === null
      ? new ProbityError(
          'IG_UNKNOWN_RUN',
          `the edge is bound to the live run ${name}, which was never requested: probity run start --live ${equivalenceKey}`,
          { data: { run_id: runId } },
        )
      : new ProbityError('IG_RUN_NOT_READY', `the edge is bound to the live run ${name}, which is not ready`, {
          data: { run_id: runId },
        });
  }

  async #json<Value>(ref: Ref, validator: Validator<Value>): Promise<Value> {
    const bytes = await this.objects.read(ref);
    return validator.demand(JSON.parse(bytes.toString('utf8')));
  }
}
