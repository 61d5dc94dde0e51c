import { busContract } from '../../src/substrate/bus/bus.contract.js';
import { kafkaHarness } from '../support/kafka.js';

busContract('kafka', kafkaHarness);
