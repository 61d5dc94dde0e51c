import {
  BaseRpcContext,
  Ctx,
  type CustomTransportStrategy,
  EventPattern,
  type MessageHandler,
  Payload,
  Server,
} from '@nestjs/microservices';
import { isObservable, lastValueFrom } from 'rxjs';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { asTopicName } from '../../rails/eb-ref.js';
import type { Clock } from '../clock/clock.port.js';
import {
  type BatchControl,
  type Bus,
  type BusConsumer,
  type ConsumerOptions,
  type RecordBatch,
  type TopicName,
} from './bus.port.js';

/** Names the transport of one consuming unit, to the server that delivers and to the handlers that it delivers to. */
export function consumerId(role: string): symbol {
  return Symbol.for(`probity.consumer.${role}`);
}

/** Marks the handlers that `BusHandler` declared, with the transport that they are meant for. */
const DECLARED_FOR = 'probityBusConsumer';

/**
 * On a method of a unit's controller: handles the batches of one topic, one batch per partition at a time, as
 * `(batch: RecordBatch, context: BusContext) => Promise<void>`. When it rejects, the batch comes again from the store's
 * position.
 * @param role of the unit whose consumer this is
 */
export function BusHandler(role: string, topic: string): MethodDecorator {
  const event = EventPattern<TopicName>(asTopicName(topic), consumerId(role), { [DECLARED_FOR]: consumerId(role) });
  return (target, method, descriptor) => {
    // Nest passes the payload alone unless each parameter says what it wants.
    Payload()(target, method, 0);
    Ctx()(target, method, 1);
    event(target, method, descriptor);
  };
}

/** The second argument of a handler. */
export class BusContext extends BaseRpcContext<[BatchControl]> {
  get control(): BatchControl {
    return this.getArgs()[0];
  }
}

export interface BusServerOptions extends Omit<ConsumerOptions, 'topics' | 'onBatch'> {
  readonly bus: Bus;
  /** `consumerId(role)` of the unit. */
  readonly transportId: symbol;
  /**
   * So long a unit that has caught up lets records gather after a batch, where nobody waits for it: one commit then serves many records instead of one
   * for each. 0 or left out: every record is delivered at once.
   */
  readonly gather?: { readonly forMs: number; readonly clock: Clock };
}

/**
 * The bus as a Nest transport: one server per consuming unit. A server shared by several units would chain their handlers
 * of one topic, and the failure of one would send the batch to all of them again.
 *
 * It consumes exactly the topics that the unit's handlers name, from `listen` (which Nest calls in
 * `startAllMicroservices`, after `app.init()`) until `close`, which waits for the batches in flight. A handler is awaited
 * to its end, and its observable, if it returns one, to its completion: a batch counts as done only then.
 */
export class BusServer extends Server implements CustomTransportStrategy {
  override readonly transportId: symbol;
  /** A failed handler is reported by the consumer, which delivers the batch again. */
  override readonly propagatesEventHandlerErrors = true;
  readonly #options: BusServerOptions;
  #consumer: BusConsumer | undefined;

  constructor(options: BusServerOptions) {
    super();
    this.#options = options;
    this.transportId = options.transportId;
  }

  override addHandler(
    pattern: unknown,
    callback: MessageHandler,
    isEventHandler?: boolean,
    extras?: Record<string, unknown>,
  ): void {
    // Nest gives a handler without a transport to every server of the process: each unit would consume its topic.
    if (isEventHandler !== true || extras?.[DECLARED_FOR] !== this.transportId)
      throw new ProbityError('INTERNAL', `${String(pattern)} is handled without @BusHandler(role, topic)`);
    if (this.getHandlerByPattern(String(pattern)) !== null)
      throw new ProbityError('INTERNAL', `${String(pattern)} has two handlers in one unit, which would run as one`);
    super.addHandler(pattern, callback, isEventHandler, extras);
  }

  listen(callback: (fault?: unknown) => void): void {
    this.#start().then(
      () => callback(),
      (fault: unknown) => callback(fault),
    );
  }

  /** Batches in flight are finished, the partitions handed back. Further calls wait for the same. */
  async close(): Promise<void> {
    await this.#consumer?.stop();
  }

  /** The consumer has no events of its own; failures go to the log and to `status()`. */
  override on(): never {
    throw new ProbityError('BUS_ABILITY_MISSING', 'the bus transport has no events to listen to');
  }

  /** The unit's consumer, for its status; undefined before `listen`. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the base class asks for it
  override unwrap<T>(): T {
    // The type is the caller's word: Nest's signature leaves no other way.
    return this.#consumer as T;
  }

  async #start(): Promise<void> {
    const { bus, transportId, gather: _, ...options } = this.#options;
    const topics = [...this.messageHandlers.keys()].map(asTopicName);
    if (topics.length === 0)
      throw new ProbityError('INTERNAL', `${transportId.description ?? 'a consumer'} has no @BusHandler`);
    this.#consumer = bus.openConsumer({
      ...options,
      topics,
      onBatch: (batch, control) => this.#handle(batch, control),
    });
    await this.#consumer.start();
  }

  /** Ends at once when the partition is taken away. */
  async #gathered({ nextOffset, highWater }: RecordBatch, { signal }: BatchControl): Promise<void> {
    const { gather } = this.#options;
    if (gather === undefined || gather.forMs === 0 || nextOffset < highWater) return;
    await gather.clock.sleep(gather.forMs, signal);
  }

  #handle(batch: RecordBatch, control: BatchControl): Promise<void> {
    const handler = this.getHandlerByPattern(batch.topic);
    if (handler === null) throw new ProbityError('INTERNAL', `nobody handles ${batch.topic}`);
    const context = new BusContext([control]);
    // Nest's hooks around a message give no promise back, so the outcome is taken inside.
    return new Promise((resolve, reject) => {
      this.runWithProcessingHooks(context, async (runEndHook) => {
        try {
          const result: unknown = await handler(batch, context);
          if (isObservable(result)) await lastValueFrom(result, { defaultValue: undefined });
          await this.#gathered(batch, control);
          resolve();
        } catch (fault) {
          reject(asError(fault));
        } finally {
          runEndHook();
        }
      });
    });
  }
}

/** Nest's filters turn what a handler threw into a plain object for a caller far away; here it goes to a log. */
function asError(fault: unknown): Error {
  if (fault instanceof Error) return fault;
  const message =
    typeof fault === 'object' && fault !== null && 'message' in fault ? String(fault.message) : 'the handler failed';
  return new Error(message, { cause: fault });
}
