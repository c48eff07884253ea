from standin import main

main()
