// Needs sockets and files.

import { checkpointLogSuite } from "./checkpoint/checkpoint_log.ts";
import { fileCheckpointStoreSuite } from "./checkpoint/file_checkpoint_store.ts";
import { fileHandlesSuite } from "./checkpoint/file_handles.ts";
import { lockSuite } from "./checkpoint/lock.ts";
import { stagedOutputSuite } from "./checkpoint/staged_output.ts";
import { stagedOutputFaultsSuite } from "./checkpoint/staged_output_faults.ts";
import { sweepCheckpointsSuite } from "./checkpoint/sweep_checkpoints.ts";
import { acceptStoreSuite } from "./cli/accept_store.ts";
import { configCommandSuite } from "./cli/config_command.ts";
import { demoWeightsSuite } from "./cli/demo_weights.ts";
import { pullOutputsSuite } from "./cli/pull_outputs.ts";
import { secretLogsSuite } from "./cli/secret_logs.ts";
import { serveDemoSuite } from "./cli/serve_demo.ts";
import { serveHttpSuite } from "./cli/serve_http.ts";
import { serveHttpsSuite } from "./cli/serve_https.ts";
import { serveStatusSuite } from "./cli/serve_status.ts";
import { smallPartsSuite } from "./cli/small_parts.ts";
import { versionSuite } from "./cli/version.ts";
import { workMeterSuite } from "./cli/work_meter.ts";
import { realWeightsSuite } from "./codec/real_weights.ts";
import { exchangeWeightsSuite } from "./compat/exchange_weights.ts";
import { edgeGuideSuite } from "./edge/guide.ts";
import { edgeWorkersSuite } from "./edge/workers.ts";
import { nodeFileSuite } from "./formats/node_file.ts";
import { safetensorsStoreSuite } from "./formats/safetensors_store.ts";
import type { Suite } from "./harness.ts";
import { httpFileSuite } from "./http/file.ts";
import { checksSuite } from "./scripts/checks.ts";
import { interopSuite } from "./scripts/interop.ts";
import { tcpPairingsSuite } from "./scripts/pairings.ts";
import { pipelineSuite } from "./streams/real_weights.ts";
import { faultProxySuite } from "./testing/fault_proxy.ts";
import { tcpSuite } from "./transports/tcp.ts";
import { webSocketSuite } from "./transports/websocket.ts";
import { webSocketAttachSuite } from "./transports/websocket_attach.ts";
import { webTransportSuite } from "./transports/webtransport.ts";

/** Needs sockets and files, which Node, Deno and Bun have. */
export const ioSuites: readonly Suite[] = [
  smallPartsSuite,
  realWeightsSuite,
  pipelineSuite,
  checksSuite,
  tcpSuite,
  webSocketSuite,
  webTransportSuite,
  webSocketAttachSuite,
  faultProxySuite,
  nodeFileSuite,
  safetensorsStoreSuite,
  configCommandSuite,
  demoWeightsSuite,
  lockSuite,
  fileHandlesSuite,
  stagedOutputSuite,
  stagedOutputFaultsSuite,
  sweepCheckpointsSuite,
  fileCheckpointStoreSuite,
  serveDemoSuite,
  serveHttpSuite,
  serveHttpsSuite,
  serveStatusSuite,
  tcpPairingsSuite,
  acceptStoreSuite,
  edgeWorkersSuite,
  edgeGuideSuite,
  exchangeWeightsSuite,
  pullOutputsSuite,
  secretLogsSuite,
  versionSuite,
  workMeterSuite,
  checkpointLogSuite,
  interopSuite,
  httpFileSuite,
];
