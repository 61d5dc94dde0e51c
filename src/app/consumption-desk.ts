import { isProbityError } from '../rails/errors/probity-error.js';
import {
  Consumption,
  consumptionContract,
  type ConsumptionPort,
  type Reader,
} from '../substrate/bus/consumption.port.js';
import type { UnitConsumption } from '../substrate/bus/unit-consumption.js';
import { outgoing } from '../substrate/rpc/outgoing.js';
import { httpRpc, type HttpRpcOptions } from '../substrate/rpc/http.rpc.js';
import { inProcessRpc, type InProcessRpcOptions } from '../substrate/rpc/in-process.rpc.js';
import type { NamedUnit } from './unit-table.js';

/** A role that does not answer within this is not known; its callers have work to do in the meantime. */
const ANSWER_LIMIT_MS = 5_000;

/** Units of this process that read the log, by role; each enters itself when it is made. */
export type ServedConsumption = Map<string, UnitConsumption>;

export interface ConsumptionDeskOptions {
  readonly units: readonly NamedUnit[];
  readonly served: ServedConsumption;
  readonly inProcess: InProcessRpcOptions;
  readonly distant: (role: string) => HttpRpcOptions;
}

/**
 * Asks every unit that reads the log what it still needs of it: those of this process in it, the others over HTTP, by one contract. It is no call
 * between units in the sense of the table (whoever reads the log may call whoever asks), so it is looked up when it is asked.
 */
export class ConsumptionDesk extends Consumption {
  readonly #ports = new Map<string, ConsumptionPort & { readonly onApplicationShutdown?: () => void }>();

  constructor(private readonly options: ConsumptionDeskOptions) {
    super();
  }

  async readers(signal: AbortSignal): Promise<readonly Reader[]> {
    const reading = this.options.units.filter(({ consumes, holds }) => consumes !== undefined || holds !== undefined);
    const sorted = [...reading].sort((a, b) => (a.role < b.role ? -1 : 1));
    return await Promise.all(sorted.map((unit) => this.#asked(unit, signal)));
  }

  /** Nest calls it when the application has stopped. */
  onApplicationShutdown(): void {
    for (const port of this.#ports.values()) port.onApplicationShutdown?.();
  }

  async #asked({ role, consumes }: NamedUnit, signal: AbortSignal): Promise<Reader> {
    const topics = consumes?.topics ?? [];
    try {
      const context = outgoing(this.options.inProcess.clock, ANSWER_LIMIT_MS, { signal });
      return { role, topics, answer: await this.#port(role).positions({}, context) };
    } catch (error) {
      signal.throwIfAborted();
      const fault = isProbityError(error) ? `${error.code}: ${error.detail}` : 'INTERNAL: the call failed';
      return { role, topics, answer: null, fault };
    }
  }

  #port(role: string): ConsumptionPort {
    const known = this.#ports.get(role);
    if (known !== undefined) return known;
    const { served, inProcess, distant } = this.options;
    const contract = consumptionContract(role);
    const here = served.get(role);
    const port = here === undefined ? httpRpc(contract, distant(role)) : inProcessRpc(contract, here, inProcess);
    this.#ports.set(role, port);
    return port;
  }
}
