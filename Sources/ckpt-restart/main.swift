// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CheckpointRestart

StandardStreams.occupyClosed()
RestartCommand.start()
