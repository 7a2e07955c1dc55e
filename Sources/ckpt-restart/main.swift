print("ckpt-restart")
