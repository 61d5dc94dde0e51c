import type { Principal } from '../identity/identity.port.js';
import type { PortOf } from './rpc-contract.js';
import { RpcCallee, type RpcCalleeParts } from './rpc-callee.js';
import { type OutgoingCall, rpcClient, type RpcCallerParts, type RpcTransport } from './rpc-caller.js';
import { encode } from './rpc-codec.js';
import { errorThroughWire, portable } from './rpc-errors.js';
import type { RpcContract } from './rpc.port.js';

export interface InProcessRpcOptions extends RpcCallerParts, RpcCalleeParts {
  /** As whom the calling unit acts: its own service principal, never the end user whose request it serves. */
  readonly caller: Principal;
  /** Takes everything through JSON and back, as HTTP does; for tests, and for a profile that wants to be sure. */
  readonly throughWire: boolean;
}

/**
 * The binding for an owner in the same process. It calls the owner's service with permission, shapes, deadline and errors
 * of the HTTP binding; only bytes and sockets are left out, and with `throughWire` not even the bytes.
 */
export function inProcessRpc<Contract extends RpcContract>(
  contract: Contract,
  service: object,
  options: InProcessRpcOptions,
): PortOf<Contract> {
  return rpcClient(contract, inProcessTransport(contract, service, options), options);
}

/** The way to the owner alone, for a caller whose contract is not the owner's own. */
export function inProcessTransport(contract: RpcContract, service: object, options: InProcessRpcOptions): RpcTransport {
  const callee = new RpcCallee(contract, service, options);
  if (options.throughWire) return new WireTransport(callee, options);
  return { call: (method, request, call) => callee.call(method, request, { ...call, caller: options.caller }) };
}

class WireTransport implements RpcTransport {
  constructor(
    private readonly callee: RpcCallee,
    private readonly options: InProcessRpcOptions,
  ) {}

  async call(method: string, request: unknown, call: OutgoingCall): Promise<unknown> {
    const { telemetry, caller } = this.options;
    const sent = encode(request, 'RPC_REQUEST_INVALID');
    const headers: Record<string, string> = {};
    telemetry.inject(call.trace, headers);
    try {
      const answer = await this.callee.call(method, JSON.parse(sent), {
        ...call,
        caller,
        trace: telemetry.extract(headers),
      });
      const received: unknown = JSON.parse(encode(answer, 'RPC_RESPONSE_INVALID'));
      return received;
    } catch (error) {
      throw errorThroughWire(portable(error));
    }
  }
}
