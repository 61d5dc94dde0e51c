import { actionsUnderKillsSuite } from './actions-layer.kills.js';

actionsUnderKillsSuite('embedded');
