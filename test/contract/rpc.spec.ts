import { PolicyAccess } from '../../src/substrate/identity/access.js';
import { httpRpc } from '../../src/substrate/rpc/http.rpc.js';
import { inProcessTransport } from '../../src/substrate/rpc/in-process.rpc.js';
import { rpcClient } from '../../src/substrate/rpc/rpc-caller.js';
import { ECHO, NEWER_ECHO } from '../support/rpc-echo.js';
import { openHttpOwner } from '../support/rpc-http.js';
import { RPC_POLICY, type RpcBinding, type RpcBindingParts, rpcContract, SERVICE } from './rpc.contract.js';

function inProcess(throughWire: boolean) {
  return ({ service, clock, caller, owner }: RpcBindingParts): Promise<RpcBinding> => {
    const access = new PolicyAccess(RPC_POLICY);
    const transport = inProcessTransport(ECHO, service, {
      access,
      clock,
      telemetry: owner.telemetry,
      caller: SERVICE,
      throughWire,
    });
    const port = rpcClient(NEWER_ECHO, transport, { clock, telemetry: caller.telemetry });
    return Promise.resolve({ port, close: () => Promise.resolve() });
  };
}

rpcContract('in process', inProcess(false));
rpcContract('in process, through the wire', inProcess(true));
rpcContract('HTTP', async ({ service, clock, caller, owner }) => {
  const http = await openHttpOwner({ contract: ECHO, service, clock, telemetry: owner, ...RPC_POLICY });
  const port = httpRpc(NEWER_ECHO, {
    addressOf: () => http.baseUrl,
    credential: () => http.credential,
    clock,
    telemetry: caller.telemetry,
  });
  return {
    port,
    close: async () => {
      port.onApplicationShutdown();
      await http.close();
    },
  };
});
